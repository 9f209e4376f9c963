#!/usr/bin/python3
"""The training step in NumPy, by hand: gradients written out, one product with x each way, no reconstruction formed, as
vqsweep does it. BLAS does the products. See peers.py for how to call it."""
import sys

import peers
import numpy


class ByHand:
    """One model. Parameters and moments are flat arrays: W and V^T, [2 d][D], and then the codes, [K][d]."""

    def __init__(self, problem, trials):
        assert trials == 1
        self.p, self.t = problem, 0
        d, D, K, B = problem.d, problem.D, problem.K, problem.B
        self.params = numpy.concatenate([problem.W.ravel(), problem.V.ravel(), problem.codes.ravel()])
        self.grads, self.m, self.v, self.work = (numpy.zeros_like(self.params) for _ in range(4))
        self.M, self.codes = self.params[:2 * d * D].reshape(2 * d, D), self.params[2 * d * D:].reshape(K, d)
        self.gM, self.gcodes = self.grads[:2 * d * D].reshape(2 * d, D), self.grads[2 * d * D:].reshape(K, d)
        self.sq = numpy.einsum("nd,nd->n", problem.x, problem.x)
        self.y, self.outer = numpy.empty((B, 2 * d), "f4"), numpy.empty((B, 2 * d), "f4")
        self.scores = numpy.empty((B, K), "f4")
        self.rng = numpy.random.default_rng(2)

    def epoch(self, order):
        self.rec = self.vq = 0.0
        order = self.rng.permutation(len(self.p.x)) if order is None else order
        for start in range(0, len(order), self.p.B):
            self.step(order[start:start + self.p.B])
        return self.rec, self.vq

    def step(self, rows):
        p, d, n = self.p, self.p.d, len(rows)
        x, V, y, outer = self.p.x[rows], self.M[self.p.d:], self.y[:n], self.outer[:n]
        numpy.matmul(x, self.M.T, out=y)
        z = y[:, :d]
        scores = numpy.matmul(z, self.codes.T, out=self.scores[:n])
        scores -= 0.5 * numpy.einsum("kd,kd->k", self.codes, self.codes)
        k = scores.argmax(1)
        q = self.codes[k]
        Gq = q @ (V @ V.T)
        g, e = Gq - y[:, d:], q - z
        self.rec += float(self.sq[rows].sum() + numpy.vdot(q, g - y[:, d:]))
        self.vq += float(numpy.vdot(e, e))
        rec_scale, vq_scale = numpy.float32(2 / (n * p.D)), numpy.float32(2 / (n * d))
        g *= rec_scale
        numpy.subtract(g, e * (p.beta * vq_scale), out=outer[:, :d])  # ste: gz is g, and the commitment's
        outer[:, d:] = q
        numpy.matmul(outer.T, x, out=self.gM)
        gV = self.gM[d:]
        gV *= -rec_scale
        gV += (rec_scale * (q.T @ q)) @ V
        self.add_by_code(k, e * vq_scale)
        self.adam()
        self.retract()

    def add_by_code(self, k, rows):
        """gcodes[k] = the sum of its rows: sorted, since numpy.add.at is slower."""
        order = numpy.argsort(k, kind="stable")
        k = k[order]
        first = numpy.flatnonzero(numpy.concatenate(([True], k[1:] != k[:-1])))
        self.gcodes[:] = 0
        self.gcodes[k[first]] = numpy.add.reduceat(rows[order], first, 0)

    def adam(self):
        p, g, m, v, w = self.p, self.grads, self.m, self.v, self.work
        self.t += 1
        m *= numpy.float32(p.beta1)
        m += numpy.multiply(g, numpy.float32(1 - p.beta1), out=w)
        v *= numpy.float32(p.beta2)
        numpy.multiply(g, g, out=w)
        w *= numpy.float32(1 - p.beta2)
        v += w
        numpy.sqrt(v, out=w)
        w *= numpy.float32((1 - p.beta2 ** self.t) ** -0.5)
        w += numpy.float32(p.eps)
        numpy.divide(m, w, out=w)
        w *= numpy.float32(p.lr / (1 - p.beta1 ** self.t))
        self.params -= w

    def retract(self):
        """The rows of W orthonormal again: what Gram-Schmidt gives, by Cholesky's factors of W W^T."""
        W = self.M[:self.p.d]
        W[:] = numpy.linalg.inv(numpy.linalg.cholesky(W @ W.T)) @ W


if __name__ == "__main__":
    sys.exit(peers.main([("numpy", ByHand, 1)]))
