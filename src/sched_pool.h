/* sched_pool.h - the worker threads of one rank.
 *
 * The one rule: the main thread gives parcels in and takes them out, worker threads run them in between; every parcel
 * changes hands under one lock. A submitted parcel wakes a worker. Finished ones wake the main thread once there are as
 * many as still wait: so it wakes once for several short tasks, and can have more brought before the workers run dry.
 *
 * Life cycle: create, submit and take any number of times, destroy (waits for what is running; parcels still inside are
 * dropped).
 */
#ifndef VQS_SCHED_POOL_H
#define VQS_SCHED_POOL_H

#include "sched_parcel.h"
#include "vqsweep/sched.h"

struct vqs_pool;

enum vqs_status vqs_pool_create(int slots, const struct vqs_sched_ops *ops, struct vqs_pool **out,
                                struct vqs_error *err);
void vqs_pool_destroy(struct vqs_pool *pool);
/* Takes a task parcel. */
void vqs_pool_submit(struct vqs_pool *pool, struct vqs_parcel *parcel);
/* All finished parcels, now results and the caller's. */
struct vqs_parcels vqs_pool_take(struct vqs_pool *pool);
/* A task no worker has begun, out of the queue and now the caller's, or NULL. */
struct vqs_parcel *vqs_pool_withdraw(struct vqs_pool *pool);
/* Whether worker `slot` is running a task, and which. */
bool vqs_pool_running(struct vqs_pool *pool, int slot, uint32_t *task);
/* Whether any worker is. Such a pool must not be destroyed if the task may never end. */
bool vqs_pool_busy(struct vqs_pool *pool);
/* Whether tasks wait that no worker has begun. */
bool vqs_pool_supplied(struct vqs_pool *pool);
/* Sleep until as many parcels are finished as still wait, at least one, or for `seconds`. */
void vqs_pool_wait(struct vqs_pool *pool, double seconds);

#endif
