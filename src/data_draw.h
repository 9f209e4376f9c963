/* data_draw.h - a data set from a file: choice, split, centring, whitening. Not public. */
#ifndef VQS_DATA_DRAW_H
#define VQS_DATA_DRAW_H

#include "vqsweep/data.h"

/* Streams within purpose VQS_RNG_DATA (training) and VQS_RNG_EVALUATION (held-out). */
enum { STREAM_BASIS, STREAM_LATENT, STREAM_CENTRES, STREAM_COMPONENT, STREAM_SHUFFLE, STREAM_NOISE };

/* Fills train and eval, which are laid out, from the file of the settings. */
enum vqs_status vqs_data_draw(const struct vqs_settings *settings, const struct vqs_source_reader *hdf5,
                              struct vqs_dataset *data, struct vqs_error *err);
/* Whitens both parts, which are centred, by the covariance of the training part. */
enum vqs_status vqs_data_whiten(const struct vqs_settings *settings, struct vqs_dataset *data, struct vqs_error *err);

#endif
