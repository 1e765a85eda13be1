"""The three assumptions that Section 3 discusses, each as an equality or an order of convergence.

A1, the central path: in the joint flow of `joint_training` W~ - W~_LS begins as its start times e^(-kappa t A), and
then L_LS_perp goes as kappa^-2, where kappa is the speed of the classifier, with the prefactor
1/2 tr(dW~_LS/dt A^(-1) (dW~_LS/dt)^T), and the features follow the flow on the central path up to kappa^-1. At
lambda = 0 the conserved matrix is H H^T - W^T W/kappa, which becomes H H^T on the central path.

A2, global mean 0: on the central path the bias is b_LS, translations of the features commute with the flow and the
mean is at rest. In the joint flow d mu_G/dt = W^T (db/dt)/(kappa C N), so it moves by kappa^-1.

A3, renormalization: from one start with Sigma_W = I,

    renormalized        C^2 N log w + (CN/2) w^2 = a + t
    not renormalized    omega_j(t) = omega_j(0) exp(t/((1 + omega_j(0)^2/C) C^2 N))

which begin with one speed and end as t^(1/2) and as exponentials. (The second is the solved case of an eigenvector of
Sigma_T(0), see `general_covariance`.)

Source: Han, Papyan & Donoho (2022), Section 3, (A1) to (A3); the equations are this project's.
"""

from collections.abc import Iterator

import numpy as np

from central_path.flows import FLOWS
from theory_checks.extensions import joint_training
from theory_checks.extensions.family_of_laws import values
from theory_checks.extensions.joint_training import KAPPA, T_MAX
from theory_checks.extensions.laws import NOTE, on_path, sizes
from theory_checks.framework import definitions, instances, paths
from theory_checks.framework.extrapolation import limit, order
from theory_checks.framework.paths import PATH_REASON, PATH_TOLERANCE, RENORMALIZED, UNNORMALIZED
from theory_checks.framework.registry import Draw, Finding, claim, identity, largest

LAMBDA = 0.05
SHIFT = 0.5  # of the global mean in the joint flow: a large one makes [h; 1] ill-conditioned, and the classifier slow
ORDER_TOLERANCE = 5e-4
ORDER_REASON = "sixth order of 2/(kappa min(eig(A) T, 1)) in the extrapolation over five doublings of kappa"


def _order(name: str, found: np.ndarray, expected: float, *, fault: float) -> Finding:
    """Order in kappa, extrapolated to kappa = infinity."""
    how = {"tolerance": ORDER_TOLERANCE, "reason": ORDER_REASON}
    return identity(name, -order(found), expected, fault=fault, **how)


def _velocity_of_best(X: np.ndarray, lam: float, lam_H: float) -> np.ndarray:
    """dW~_LS/dt on the central path, by central differences along the features' velocity."""
    W = joint_training.best(X, lam)
    F_ext = definitions.extend(definitions.stack(X))
    Y = definitions.one_hot(definitions.labels_of(X), X.shape[1])
    dF = -(W[:, :-1].T @ (W @ F_ext - Y) + lam_H * F_ext[:-1]) / F_ext.shape[1]
    dX = dF.reshape(X.shape)
    step = 1e-4 * largest(X) / largest(dX)
    return (joint_training.best(X + step * dX, lam) - joint_training.best(X - step * dX, lam)) / (2 * step)


def _after_the_transient(begin: joint_training.JointState, lam: float, lam_H: float, how: str) -> Iterator[Finding]:
    """L_LS_perp/L_LS at T_MAX against kappa, and the limit of kappa^2 L_LS_perp."""
    ends = [joint_training.end(begin, kappa, lam=lam, lam_H=lam_H) for kappa in KAPPA]
    ratio = np.array([joint_training.perp(state, lam) / joint_training.central_loss(state.X, lam) for state in ends])
    yield _order(f"L_LS_perp/L_LS goes as kappa^-2, {how}", ratio, -2.0, fault=-1.0)
    X = limit(np.stack([state.X for state in ends]))
    dW = _velocity_of_best(X, lam, lam_H)
    expected = 0.5 * np.trace(dW @ np.linalg.inv(joint_training.second_moment(X, lam)) @ dW.T)
    yield identity(
        "prefactor of kappa^-2",
        limit(KAPPA**2 * np.array([joint_training.perp(state, lam) for state in ends])),
        expected,
        fault=2 * expected,
        tolerance=5e-4,
        reason=ORDER_REASON,
    )


def _transient(begin: joint_training.JointState, lam: float) -> Finding:
    """W~ - W~_LS at t = 1/(2 kappa) from a random classifier, against the exponential of the second moment."""
    w, Q = np.linalg.eigh(joint_training.second_moment(begin.X, lam))
    D = joint_training.away(begin, lam)
    right, wrong = ((D @ Q * np.exp(-w * time)) @ Q.T for time in (0.5, 0.25))
    found = []
    for kappa in KAPPA:
        path = joint_training.follow(begin, kappa, joint_training.times(0.5 / kappa), lam=lam)
        found.append(joint_training.away(joint_training.JointState(*(a[-1] for a in path)), lam))
    error, other = (np.array([np.linalg.norm(D - value) for D in found]) for value in (right, wrong))
    name = "W~ - W~_LS begins as its start times e^(-kappa t A), up to kappa^-1"
    return _order(name, error, -1.0, fault=-order(other))


def _conserved(begin: joint_training.JointState) -> Iterator[Finding]:
    """H H^T - W^T W/kappa along the joint flow without weight decay."""
    kappa = KAPPA[0]
    path = joint_training.follow(begin, kappa, joint_training.times())
    XX = np.einsum("tpcn,tqcn->tpq", path.X, path.X)
    seen = XX - np.einsum("tcp,tcq->tpq", path.W, path.W) / kappa
    still = np.broadcast_to(seen[0], seen.shape)
    yield identity(
        "H H^T - W^T W/kappa is conserved",
        seen,
        still,
        fault=seen - (XX - XX[:1]),
        tolerance=PATH_TOLERANCE,
        reason=PATH_REASON,
    )


def _omega_order(X: np.ndarray) -> Finding:
    """Singular values at T_MAX against those of the flow on the central path."""
    central = paths.follow(X, UNNORMALIZED, t_max=T_MAX, as_they_are=True).omega
    ends = [joint_training.end(joint_training.on_path(X, 0.0), kappa).X for kappa in KAPPA]
    omega = np.stack([np.asarray(paths.omega_of(X)) for X in ends])
    error, other = (np.linalg.norm(np.log(omega / value), axis=1) for value in (central[-1], central[0]))
    return _order("omega tends to the flow on the central path as kappa^-1", error, -1.0, fault=-order(other))


@claim(
    "Assumption A1",
    source=f"Section 3, (A1); {NOTE}, Proposition 8.2",
    statement="The central path is where a fast classifier keeps the joint gradient flow: with a classifier kappa "
    "times as fast as the features L_LS_perp first falls exponentially, then stays at kappa^-2 of L_LS, with and "
    "without weight decay, and the features follow the gradient flow of L_LS up to kappa^-1.",
    assumptions="second moments of [h; 1] bounded below; features that move at a rate of 1/(C^2 N).",
    fault="an order less in kappa; the rate of the transient halved; H H^T alone conserved; features that stay.",
    figure="assumptions",
)
def assumption_a1(draw: Draw) -> Iterator[Finding]:
    """Orders in kappa from on and off the central path, with and without weight decay."""
    for _ in range(draw.repeats):
        X = joint_training.features(draw.rng)
        off = joint_training.off_path(draw.rng, X)
        yield from _after_the_transient(joint_training.on_path(X, 0.0), 0.0, 0.0, "from the central path")
        yield from _after_the_transient(off, 0.0, 0.0, "from a random classifier")
        yield from _after_the_transient(joint_training.on_path(X, LAMBDA), LAMBDA, 0.0, "with decay of W and b")
        yield from _after_the_transient(off, LAMBDA, LAMBDA, "with decay of W, b and H")
        for lam in (0.0, LAMBDA):
            yield _transient(off, lam)
        yield from _conserved(off)
        yield _omega_order(X)


@claim(
    "Assumption A2",
    source=f"Section 3, (A2); {NOTE}, Proposition 8.3",
    statement="With the bias at b_LS the global mean plays no part: features translated by m move as before, "
    "translated by m, and the mean is at rest. Off the central path it moves, d mu_G/dt = W^T (db/dt)/(kappa C N), by "
    "kappa^-1.",
    assumptions="lambda = 0, balanced classes, bias included.",
    fault="singular values of the uncentred means; C for C N; a displacement that does not depend on kappa.",
)
def assumption_a2(draw: Draw) -> Iterator[Finding]:
    """Translated features on the central path, and the mean in the joint flow."""
    for _ in range(draw.repeats):
        X = joint_training.features(draw.rng)
        P, C, N = X.shape
        m = draw.rng.standard_normal(P)
        moved = X + m[:, None, None]
        here, there = (paths.follow(H, UNNORMALIZED, as_they_are=True) for H in (X, moved))
        uncentred = np.stack([np.linalg.svd(_whitened_means(H), compute_uv=False)[: C - 1] for H in there.X])
        yield on_path("omega(t) of translated features", there.omega, here.omega, here, fault=uncentred)
        by_m = here.X + m[None, :, None, None]
        yield on_path("translated features move as before", there.X, by_m, here, fault=here.X)
        mean = there.X.mean(axis=(2, 3))
        of_one_class = there.X[:, :, 0].mean(axis=2)
        fault = mean - (of_one_class - of_one_class[:1])
        yield on_path("their global mean is at rest", mean, np.broadcast_to(m, mean.shape), here, fault=fault)
        m *= SHIFT / np.linalg.norm(m)
        moved = X + m[:, None, None]
        begin = joint_training.off_path(draw.rng, moved)
        _, db, dX = (np.asarray(a) for a in joint_training.gradient(*begin, 0.0))
        balance = begin.W.T @ db / (C * N)
        yield identity(
            "joint flow: d mu_G/dt = W^T (db/dt)/(kappa C N)", dX.mean(axis=(1, 2)), balance, fault=N * balance
        )
        begin = joint_training.on_path(moved, 0.0)
        drifts = [joint_training.end(begin, kappa).X.mean(axis=(1, 2)) - m for kappa in KAPPA]
        size = np.linalg.norm(np.stack(drifts), axis=1)
        yield _order("joint flow: the mean moves as kappa^-1", size, -1.0, fault=0.0)


def _whitened_means(H: np.ndarray) -> np.ndarray:
    """Sigma_W^(-1/2) M, not centred."""
    M = H.mean(axis=2)
    E = (H - M[:, :, None]).reshape(len(H), -1)
    return definitions.root(E @ E.T / E.shape[1], -0.5) @ M


@claim(
    "Assumption A3",
    source=f"Section 3, (A3); {NOTE}, Proposition 8.4",
    statement="Renormalization leaves the loss as it is, yet changes the law: from one start with Sigma_W = I the "
    "singular values begin with one speed, and then grow as sqrt(t) with renormalization, C^2 N log w + (CN/2) w^2 = "
    "a + t, and exponentially without, omega_j(0) exp(t/((1 + omega_j(0)^2/C) C^2 N)).",
    assumptions="lambda = 0, balanced classes, bias included, Sigma_W(0) = I.",
    fault="the law of the other case; for the speeds, that of the Riemannian flow.",
)
def assumption_a3(draw: Draw) -> Iterator[Finding]:
    """Both flows of features from one start, against both laws."""
    for _ in range(draw.repeats):
        X = np.asarray(paths.renormalized(instances.random_features(draw.rng, instances.GENERIC)))
        with_it, without = paths.follow(X, RENORMALIZED), paths.follow(X, UNNORMALIZED, as_they_are=True)
        C, N = sizes(with_it)
        logs = []
        for path in (with_it, without):
            omega0, t = path.omega[:1], path.ts[:, None]
            law = values(1, (C, N), omega0, t, 0.0).growth
            exponential = t / ((1 + omega0**2 / C) * C**2 * N)  # the smaller overtake the larger: compare by rank
            logs.append([np.sort(np.log(omega0) + y, axis=1) for y in (np.log(path.omega / omega0), law, exponential)])
        yield on_path("with renormalization", logs[0][0], logs[0][1], with_it, fault=logs[0][2], scale=1.0)
        yield on_path("without renormalization", logs[1][0], logs[1][2], without, fault=logs[1][1], scale=1.0)
        riemannian, renormalized, plain = (
            np.asarray(paths.omega_along(X, paths.traced(flow))) for flow in FLOWS.values()
        )
        condition = 1 + with_it.omega[0, 0] ** 2 / C
        yield identity(
            "one speed at the start",
            renormalized,
            plain,
            fault=riemannian,
            condition=condition,
            reason="200 eps, times the condition of Sigma_T",
        )
