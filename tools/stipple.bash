# SPDX-License-Identifier: Apache-2.0
# bash completion for stipple

_stipple() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb= word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in
            devices|info|run|bench|profile|tune|selftest|cache) verb=$word; break ;;
        esac
    done
    local common='--help --verbose --quiet'
    COMPREPLY=()
    if [[ $verb == run || $verb == bench || $verb == tune || $verb == profile || $verb == selftest || $verb == devices ]]; then
        case $previous in
            --output|--masks) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
            --device) mapfile -t COMPREPLY < <(compgen -W 'cpu gpu' -- "$current"); return ;;
            --import|--export|--trace|--roofline) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
            --input|--seed|--runs|--budget) return ;;
        esac
    fi
    case $verb:$current in
        :-*) common+=' --version' ;;
        :*) mapfile -t COMPREPLY < <(compgen -W 'devices info run bench profile tune selftest cache' -- "$current"); return ;;
        devices:-*) common+=' --measure --device --json' ;;
        info:-*|cache:-*) common+=' --json' ;;
        cache:*) mapfile -t COMPREPLY < <(compgen -W 'path list clear' -- "$current"); return ;;
        run:-*) common+=' --input --output --masks --seed --device --dense --exact --runs --json' ;;
        bench:-*) common+=' --input --runs --layers --seed --device --exact --json --csv' ;;
        profile:-*) common+=' --trace --roofline --runs --dense --exact --device --input --seed' ;;
        tune:-*) common+=' --budget --all --dense --exact --device --input --seed --reset --import --export --json' ;;
        selftest:-*) common+=' --device --json' ;;
        devices:*|selftest:*) return ;;
        *) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$common" -- "$current")
}
complete -o filenames -F _stipple stipple
