/* background.h - a thread for work that must not hold up the main one: syncing a journal, writing a file.
 *
 * The one rule: the owner asks, the thread runs `work`, the owner looks at what came of it; a request made while the
 * thread is at work is served by one more run. What `work` and its owner share, the owner touches only while the thread
 * is idle, or is such that both may.
 *
 * Life cycle: create, ask and poll any number of times, destroy (waits for what was asked).
 */
#ifndef VQS_BACKGROUND_H
#define VQS_BACKGROUND_H

#include "vqsweep/base.h"

struct vqs_background;

enum vqs_status vqs_background_create(enum vqs_status (*work)(void *ctx, struct vqs_error *err), void *ctx,
                                      struct vqs_background **out, struct vqs_error *err);
void vqs_background_destroy(struct vqs_background *background); /* NULL-safe */
/* Never waits. */
void vqs_background_ask(struct vqs_background *background);
/* Whether nothing is asked for and nothing is running. */
bool vqs_background_idle(struct vqs_background *background);
/* Wait until idle. */
void vqs_background_wait(struct vqs_background *background);
/* The status and text of the first failure since the last call, which is forgotten; VQS_OK: none. */
enum vqs_status vqs_background_failure(struct vqs_background *background, struct vqs_error *err);

#endif
