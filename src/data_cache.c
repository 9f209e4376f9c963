/* data_cache.c - data sets shared by the threads of a process. */
#include "vqsweep/data.h"

#include <pthread.h>
#include <stdlib.h>

/* More than this many data sets are not told apart: a cache is looked through from end to end. */
enum { MAX_ENTRIES = 256 };

struct entry {
    struct vqs_dataset *data; /* NULL while it is being made */
    uint64_t key;
    int users;          /* threads that have it, or wait for it */
    uint64_t last_used; /* tick of the last time somebody gave it back */
};

struct vqs_data_cache {
    pthread_mutex_t lock;
    pthread_cond_t made;
    size_t limit, held; /* bytes */
    const struct vqs_source_reader *hdf5;
    uint64_t tick;
    int n;
    struct entry entries[MAX_ENTRIES];
};

enum vqs_status vqs_data_cache_create(size_t bytes, const struct vqs_source_reader *hdf5, struct vqs_data_cache **out,
                                      struct vqs_error *err) {
    struct vqs_data_cache *cache = calloc(1, sizeof *cache);
    *out = cache;
    if (!cache) {
        return vqs_fail(err, VQS_ERR_MEMORY, "cannot allocate a cache of data sets");
    }
    cache->limit = bytes;
    cache->hdf5 = hdf5;
    pthread_mutex_init(&cache->lock, NULL);
    pthread_cond_init(&cache->made, NULL);
    return VQS_OK;
}

static void drop(struct vqs_data_cache *cache, int i) {
    if (cache->entries[i].data) {
        cache->held -= cache->entries[i].data->arena.size;
        vqs_dataset_destroy(cache->entries[i].data);
    }
    cache->entries[i] = cache->entries[--cache->n];
}

/* Lets go of unused data sets, the longest unused first, until what is held and `more` fit. */
static void make_room(struct vqs_data_cache *cache, size_t more) {
    for (;;) {
        int oldest = -1;
        for (int i = 0; i < cache->n; i++) {
            if (cache->entries[i].users == 0 &&
                (oldest < 0 || cache->entries[i].last_used < cache->entries[oldest].last_used)) {
                oldest = i;
            }
        }
        const bool full = cache->held + more > cache->limit || cache->n == MAX_ENTRIES;
        if (oldest < 0 || !full) {
            return;
        }
        drop(cache, oldest);
    }
}

static int find(const struct vqs_data_cache *cache, uint64_t key) {
    for (int i = 0; i < cache->n; i++) {
        if (cache->entries[i].key == key) {
            return i;
        }
    }
    return -1;
}

/* Makes a data set with the lock released; others that want it wait. */
static enum vqs_status make(struct vqs_data_cache *cache, const struct vqs_settings *settings, uint64_t key,
                            struct vqs_dataset **out, struct vqs_error *err) {
    make_room(cache, vqs_dataset_memory(settings));
    const bool kept = cache->n < MAX_ENTRIES;
    if (kept) {
        cache->entries[cache->n++] = (struct entry){.key = key, .users = 1};
    }
    pthread_mutex_unlock(&cache->lock);
    enum vqs_status status = vqs_dataset_create(settings, cache->hdf5, out, err);
    pthread_mutex_lock(&cache->lock);
    const int i = find(cache, key);
    if (status) {
        if (kept) {
            drop(cache, i); /* those who wait try for themselves */
        }
    } else if (kept) {
        cache->entries[i].data = *out;
        cache->held += (*out)->arena.size;
    }
    pthread_cond_broadcast(&cache->made);
    return status;
}

enum vqs_status vqs_data_cache_get(struct vqs_data_cache *cache, const struct vqs_settings *settings,
                                   const struct vqs_dataset **out, struct vqs_error *err) {
    const uint64_t key = vqs_settings_data_key(settings);
    struct vqs_dataset *data = NULL;
    enum vqs_status status = VQS_OK;
    pthread_mutex_lock(&cache->lock);
    int i = find(cache, key);
    while (i >= 0 && !cache->entries[i].data) {
        pthread_cond_wait(&cache->made, &cache->lock);
        i = find(cache, key);
    }
    if (i >= 0) {
        data = cache->entries[i].data;
        cache->entries[i].users++;
    } else {
        status = make(cache, settings, key, &data, err);
    }
    pthread_mutex_unlock(&cache->lock);
    *out = data;
    return status;
}

void vqs_data_cache_put(struct vqs_data_cache *cache, const struct vqs_dataset *data) {
    if (!data) {
        return;
    }
    pthread_mutex_lock(&cache->lock);
    const int i = find(cache, data->key);
    if (i >= 0 && cache->entries[i].data == data) {
        cache->entries[i].users--;
        cache->entries[i].last_used = ++cache->tick;
        make_room(cache, 0);
    } else { /* there was no room to remember it */
        vqs_dataset_destroy((struct vqs_dataset *)data);
    }
    pthread_mutex_unlock(&cache->lock);
}

void vqs_data_cache_destroy(struct vqs_data_cache *cache) {
    if (cache) {
        while (cache->n) {
            drop(cache, 0);
        }
        pthread_mutex_destroy(&cache->lock);
        pthread_cond_destroy(&cache->made);
        free(cache);
    }
}
