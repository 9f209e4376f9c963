/* background.c - one thread, one lock, three flags. */
#include "background.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct vqs_background {
    enum vqs_status (*work)(void *ctx, struct vqs_error *err);
    void *ctx;
    pthread_t thread;
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t changed;
    bool asked, running, closing;
    struct vqs_error failure;
};

static void *run(void *arg) {
    struct vqs_background *b = arg;
    pthread_mutex_lock(&b->lock);
    for (;;) {
        while (!b->asked && !b->closing) {
            pthread_cond_wait(&b->changed, &b->lock);
        }
        if (!b->asked) {
            break;
        }
        b->asked = false;
        b->running = true;
        pthread_mutex_unlock(&b->lock);
        struct vqs_error err = {0};
        enum vqs_status status = b->work(b->ctx, &err);
        pthread_mutex_lock(&b->lock);
        b->running = false;
        if (status != VQS_OK) {
            vqs_fail(&b->failure, status, "%s", err.text);
        }
        pthread_cond_broadcast(&b->changed);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

enum vqs_status vqs_background_create(enum vqs_status (*work)(void *ctx, struct vqs_error *err), void *ctx,
                                      struct vqs_background **out, struct vqs_error *err) {
    struct vqs_background *b = calloc(1, sizeof *b);
    *out = NULL;
    if (!b) {
        return vqs_fail(err, VQS_ERR_MEMORY, "out of memory");
    }
    b->work = work;
    b->ctx = ctx;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    sigset_t all, before; /* signals belong to the main thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&b->thread, NULL, run, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failure) {
        pthread_cond_destroy(&b->changed);
        pthread_mutex_destroy(&b->lock);
        free(b);
        return vqs_fail(err, VQS_ERR_ENVIRONMENT, "cannot start a thread: %s", strerror(failure));
    }
    *out = b;
    return VQS_OK;
}

void vqs_background_destroy(struct vqs_background *b) {
    if (!b) {
        return;
    }
    pthread_mutex_lock(&b->lock);
    b->closing = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void vqs_background_ask(struct vqs_background *b) {
    pthread_mutex_lock(&b->lock);
    b->asked = true;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

bool vqs_background_idle(struct vqs_background *b) {
    pthread_mutex_lock(&b->lock);
    bool idle = !b->asked && !b->running;
    pthread_mutex_unlock(&b->lock);
    return idle;
}

void vqs_background_wait(struct vqs_background *b) {
    pthread_mutex_lock(&b->lock);
    while (b->asked || b->running) {
        pthread_cond_wait(&b->changed, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
}

enum vqs_status vqs_background_failure(struct vqs_background *b, struct vqs_error *err) {
    pthread_mutex_lock(&b->lock);
    struct vqs_error failure = b->failure;
    b->failure = (struct vqs_error){0};
    pthread_mutex_unlock(&b->lock);
    return failure.status == VQS_OK ? VQS_OK : vqs_fail(err, failure.status, "%s", failure.text);
}
