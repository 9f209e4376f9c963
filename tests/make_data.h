/* make_data.h - data sets and their elements, for the tests of data. */
#ifndef MAKE_DATA_H
#define MAKE_DATA_H

#include "testing.h"
#include "vqsweep/data.h"

static inline struct vqs_dataset *create(const struct vqs_settings *s) {
    struct vqs_dataset *data = NULL;
    struct vqs_error err = {0};
    ck_assert_msg(vqs_dataset_create(s, NULL, &data, &err) == VQS_OK, "%s", err.text);
    ck_assert_uint_eq(data->key, vqs_settings_data_key(s));
    ck_assert_uint_eq(data->arena.used, vqs_dataset_memory(s));
    return data;
}

/* Tests run in a process of their own each, so the environment may be set. */
static inline void use_class(int i) {
    setenv("VQSWEEP_CPU_CLASS", test_class(i)->cpu_class, 1);
}

static inline double element(const struct vqs_dataset *data, const struct vqs_samples *part, size_t i, int j) {
    return (double)part->x[i * data->ld + (size_t)j];
}

static inline bool same_samples(const struct vqs_dataset *a, const struct vqs_dataset *b, size_t n_train,
                                size_t n_eval) {
    return a->ld == b->ld && same_bits(a->train.x, b->train.x, n_train * a->ld) &&
           same_bits(a->eval.x, b->eval.x, n_eval * a->ld);
}

/* |x|^2 of each sample and the variance about the mean, by their definitions. */
static inline void check_summary(const struct vqs_dataset *data, const struct vqs_samples *part) {
    double variance = 0;
    for (int j = 0; j < data->D; j++) {
        double mean = 0, sum = 0;
        for (size_t i = 0; i < part->n; i++) {
            mean += element(data, part, i, j) / (double)part->n;
        }
        for (size_t i = 0; i < part->n; i++) {
            sum += pow(element(data, part, i, j) - mean, 2);
        }
        variance += sum / (double)part->n / data->D;
    }
    ck_assert_double_eq_tol(part->variance, variance, 1e-6 * variance);
    for (size_t i = 0; i < part->n; i++) {
        double sq = 0;
        for (size_t j = 0; j < data->ld; j++) {
            sq += pow((double)part->x[i * data->ld + j], 2);
        }
        ck_assert_msg(fabs((double)part->sq[i] - sq) <= 8 * REAL_EPS * sq, "|x|^2 of sample %zu", i);
    }
}

#endif
