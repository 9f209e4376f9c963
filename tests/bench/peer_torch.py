#!/usr/bin/python3
"""The training step in PyTorch: as one would write it (eager, autograd), and the fastest form found by hand (gradients
written out, no autograd, trials side by side on the same data). See peers.py for how to call it."""
import sys

import peers

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    print("torch is not installed (Debian: python3-torch)", file=sys.stderr)
    sys.exit(77)

torch.set_num_threads(1)


class Eager:
    """One model, autograd and torch.optim.Adam."""

    def __init__(self, problem, trials):
        assert trials == 1
        self.p = problem
        self.x = torch.from_numpy(problem.x)
        self.W = torch.nn.Parameter(torch.tensor(problem.W))
        self.V = torch.nn.Parameter(torch.tensor(problem.V.T))
        self.codes = torch.nn.Parameter(torch.tensor(problem.codes))
        self.adam = torch.optim.Adam([self.W, self.V, self.codes], lr=problem.lr, betas=(problem.beta1, problem.beta2),
                                     eps=problem.eps)

    def epoch(self, order):
        rec, vq = torch.zeros(()), torch.zeros(())
        order = torch.randperm(len(self.x)) if order is None else torch.from_numpy(order)
        for rows in order.split(self.p.B):
            loss_rec, loss_vq = self.step(self.x[rows])
            rec += loss_rec * len(rows) * self.p.D
            vq += loss_vq * len(rows) * self.p.d
        return rec.item(), vq.item()

    def step(self, x):
        z = F.linear(x, self.W)
        with torch.no_grad():
            k = (self.codes.pow(2).sum(1) - 2 * z @ self.codes.t()).min(1).indices  # faster than argmin
        q = F.embedding(k, self.codes)
        reconstruction = F.linear(z + (q - z).detach(), self.V)
        loss_rec, loss_vq = F.mse_loss(reconstruction, x), F.mse_loss(q, z.detach())
        loss = loss_rec + loss_vq + self.p.beta * F.mse_loss(z, q.detach())
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        with torch.no_grad():  # W orthonormal again, with the signs that keep rows from flipping
            Q, R = torch.linalg.qr(self.W.t())
            self.W.copy_((Q * R.diagonal().sign()).t())
        return loss_rec.detach(), loss_vq.detach()


class ByHand:
    """`trials` models in flat arrays: W and V^T of each, [trials][2 d][D], and then the codes, [trials][K][d]."""

    BLOCK = 1 << 18  # scores looked through at a time: they should stay in the cache

    def __init__(self, problem, trials):
        self.p, self.trials, self.t = problem, trials, 0
        d, D, K, B = problem.d, problem.D, problem.K, problem.B
        self.x = torch.from_numpy(problem.x)
        self.sq = self.x.pow(2).sum(1)
        M = torch.cat([torch.tensor(problem.W), torch.tensor(problem.V)])
        codes = torch.tensor(problem.codes)
        self.params = torch.cat([M.repeat(trials, 1).flatten(), codes.repeat(trials, 1).flatten()])
        self.grads, self.m, self.v, self.work = (torch.zeros_like(self.params) for _ in range(4))
        cut = trials * 2 * d * D
        self.M, self.gM = (a[:cut].view(trials, 2 * d, D) for a in (self.params, self.grads))
        self.codes, self.gcodes = (a[cut:].view(trials, K, d) for a in (self.params, self.grads))
        self.side = max(1, min(trials, self.BLOCK // (B * K)))  # trials whose scores are looked through together
        self.first_code = torch.arange(trials).view(trials, 1) * K
        self.scores = torch.empty(self.side * B * K)
        self.outer = torch.empty(trials * 2 * d * B)

    @torch.no_grad()
    def epoch(self, order):
        self.rec, self.vq = torch.zeros(self.trials), torch.zeros(self.trials)
        order = torch.randperm(len(self.x)) if order is None else torch.from_numpy(order)
        for rows in order.split(self.p.B):
            self.step(rows)
        return self.rec.numpy(), self.vq.numpy()

    def nearest(self, z):
        """The number of the nearest code, [trials][n], for z [trials][d][n]."""
        n, K = z.shape[2], self.p.K
        half = self.codes.pow(2).sum(2).mul_(0.5).unsqueeze(1)
        k = []
        for at in range(0, self.trials, self.side):
            part = slice(at, min(at + self.side, self.trials))
            scores = self.scores[:(part.stop - at) * n * K].view(part.stop - at, n, K)
            torch.baddbmm(half[part], z[part].transpose(1, 2), self.codes[part].transpose(1, 2), alpha=-1, out=scores)
            k.append(scores.min(2).indices)
        return torch.cat(k) if len(k) > 1 else k[0]

    def step(self, rows):
        p, d, n, trials = self.p, self.p.d, len(rows), self.trials
        x, V = self.x[rows], self.M[:, self.p.d:]
        y = torch.mm(self.M.view(-1, p.D), x.t()).view(trials, 2 * d, n)
        z, yV = y[:, :d], y[:, d:]
        k = (self.nearest(z) + self.first_code).flatten()
        q = self.codes.view(-1, d)[k].view(trials, n, d)
        qT = q.transpose(1, 2)
        g = torch.bmm(torch.bmm(V, V.transpose(1, 2)), qT).sub_(yV)
        e = qT - z
        self.rec += self.sq[rows].sum() + (qT * (g - yV)).sum((1, 2))
        self.vq += e.pow(2).sum((1, 2))
        rec_scale, vq_scale = 2 / (n * p.D), 2 / (n * d)
        outer = self.outer[:trials * 2 * d * n].view(trials, 2 * d, n)
        torch.sub(g.mul_(rec_scale), e, alpha=p.beta * vq_scale, out=outer[:, :d])  # ste: gz is g, and the commitment's
        outer[:, d:] = qT
        torch.mm(outer.view(-1, n), x, out=self.gM.view(-1, p.D))
        moments = torch.bmm(qT, q)
        gV = self.gM[:, d:]
        gV.mul_(-rec_scale).baddbmm_(moments, V, alpha=rec_scale)
        self.gcodes.zero_()
        self.gcodes.view(-1, d).index_put_((k,), e.transpose(1, 2).reshape(-1, d).mul_(vq_scale), accumulate=True)
        self.adam()
        self.retract()

    def adam(self):
        p, g = self.p, self.grads
        self.t += 1
        self.m.mul_(p.beta1).add_(g, alpha=1 - p.beta1)
        self.v.mul_(p.beta2).addcmul_(g, g, value=1 - p.beta2)
        torch.sqrt(self.v, out=self.work).mul_((1 - p.beta2 ** self.t) ** -0.5).add_(p.eps)
        self.params.addcdiv_(self.m, self.work, value=-p.lr / (1 - p.beta1 ** self.t))

    def retract(self):
        """The rows of W orthonormal again: what Gram-Schmidt gives, by Cholesky's factors of W W^T."""
        W = self.M[:, :self.p.d]
        factor = torch.linalg.cholesky(torch.bmm(W, W.transpose(1, 2)))
        W.copy_(torch.linalg.solve_triangular(factor, W, upper=False))


if __name__ == "__main__":
    sys.exit(peers.main([("torch_eager", Eager, 1), ("torch_by_hand", ByHand, 1), ("torch_batched", ByHand, 16)]))
