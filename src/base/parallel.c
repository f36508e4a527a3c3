// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "base/parallel.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

enum { MOST_THREADS = 16 };

struct crew {
    void (*work)(void *user, int64_t i);
    void *user;
    int64_t count;
    _Atomic int64_t next;
};

static void *take_part(void *argument)
{
    struct crew *crew = argument;
    for (int64_t i; (i = atomic_fetch_add(&crew->next, 1)) < crew->count;)
        crew->work(crew->user, i);
    return NULL;
}

void stp_parallel(int64_t count, void (*work)(void *user, int64_t i), void *user)
{
    struct crew crew = {.work = work, .user = user, .count = count};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t wanted = cores < MOST_THREADS ? cores : MOST_THREADS;
    wanted = wanted < count ? wanted : count;
    pthread_t threads[MOST_THREADS];
    int started = 0;
    // The application's signals are for its own threads.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started + 1 < wanted && pthread_create(&threads[started], NULL, take_part, &crew) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    take_part(&crew);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}
