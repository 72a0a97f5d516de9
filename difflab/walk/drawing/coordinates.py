"""Where everything is when some groups are folded; ``templates/draw.js`` does the same sums when one is folded there.

Items stand in the middle of their ranks.  Across, each is drawn to the mean of what it is connected with, in sweeps
over the ranks; neighbours keep their distance by isotonic regression (Barlow et al., 1972; sweeps over layered drawings
are those of Gansner et al., 1993, section 4).  Edges are straight within a rank and bend only between ranks, so that
they meet no box.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .lettering import width
from .scene import Joint, Scene

SEPARATION, GAP, WIDEST_GAP, STEEP = 16.0, 12.0, 60.0, 0.16
PAD, BAR = 14.0, 26.0
SWEEPS = 16
STRAIGHT = 8.0
"""How much more a stretch pulls for each of its ends that is no box."""

Pull = tuple[int, float, float]


@dataclass(frozen=True)
class Placed:
    """A scene with coordinates, in pixels from its upper left corner.

    ``centres`` are those of the items as (x, y), ``paths`` the edges as SVG path data, ``inner`` the scenes in it that
    are not folded, by item; ``ins`` and ``outs`` are where values come through the frame, across.
    """

    scene: Scene
    width: float
    height: float
    centres: tuple[tuple[float, float], ...]
    paths: tuple[str, ...]
    inner: dict[int, Placed]
    ins: tuple[float, ...]
    outs: tuple[float, ...]

    def size(self, item: int) -> tuple[float, float]:
        """Width and height of an item."""
        if item in self.inner:
            return self.inner[item].width, self.inner[item].height
        return self.scene.items[item].width, self.scene.items[item].height


def place(scene: Scene, unfolded: Collection[str], *, down: bool) -> Placed:
    """Coordinates for a scene.

    Args:
        scene: with its order.
        unfolded: keys of the groups in it that are not folded.
        down: whether values flow downwards, else to the right.

    Returns:
        The scene with coordinates; the same for the same arguments.

    Example:
        >>> import numpy as np
        >>> from difflab import trace
        >>> drawn = trace(lambda x: np.sin(x) * 2.0, 1.0).draw()
        >>> placed = place(drawn.scene, drawn.unfolded, down=drawn.down)
        >>> len({y for _, y in placed.centres})  # a chain is straight
        1
    """
    inner = {at: place(child, unfolded, down=down) for at, child in scene.inner().items() if child.key in unfolded}
    return _Placing(scene, inner, down).placed()


class _Placing:
    """One scene: ``across`` and ``along`` are sizes at right angles to the flow and with it."""

    def __init__(self, scene: Scene, inner: dict[int, Placed], down: bool):
        self.scene, self.inner, self.down = scene, inner, down
        sizes = [item[2:] for item in scene.items]
        for at, placed in inner.items():
            sizes[at] = (placed.width, placed.height)
        self.across = [size[0 if down else 1] for size in sizes]
        self.along = [size[1 if down else 0] for size in sizes]
        # Of the ways in and the ways out of every item: the other one, how far from it this one wants to be, how much.
        self.near: tuple[list[list[Pull]], list[list[Pull]]] = ([[] for _ in sizes], [[] for _ in sizes])
        for joint in scene.joints:
            shift = self.leaves(joint) - self.comes(joint)
            force = joint.weight * STRAIGHT ** ((self.along[joint.start] == 0.0) + (self.along[joint.end] == 0.0))
            self.near[0][joint.end].append((joint.start, shift, force))
            self.near[1][joint.start].append((joint.end, -shift, force))

    def leaves(self, joint: Joint) -> float:
        """How far from the middle of its start a joint leaves, across."""
        if joint.start in self.inner:
            return self.inner[joint.start].outs[joint.out] - self.across[joint.start] / 2
        return ((joint.out + 1) / (joint.outs + 1) - 0.5) * self.across[joint.start]

    def comes(self, joint: Joint) -> float:
        """How far from the middle of its end a joint comes in, across."""
        if joint.end in self.inner:
            return self.inner[joint.end].ins[joint.into] - self.across[joint.end] / 2
        return ((joint.into + 1) / (joint.ins + 1) - 0.5) * self.across[joint.end]

    # -------------------------------------------------------------------- across

    def spread(self) -> list[float]:
        """The middle of every item across."""
        middle = [0.0] * len(self.across)
        for items in self.scene.ranked.ranks:
            at = -sum(self.across[item] + SEPARATION for item in items) / 2
            for item in items:
                middle[item] = at + (self.across[item] + SEPARATION) / 2
                at += self.across[item] + SEPARATION
        ranks = self.scene.ranked.ranks
        for _ in range(SWEEPS):
            for items in reversed(ranks):
                self.settle(items, middle, 1)
            for items in ranks:  # last, so that what one thing becomes stands straight behind it
                self.settle(items, middle, 0)
        return middle

    def settle(self, items: Sequence[int], middle: list[float], side: int) -> None:
        """Move a rank to where the items before it (side 0) or behind it (side 1) want it."""
        wanted: list[float] = []
        weights: list[float] = []
        for item in items:
            total = weight = 0.0
            for other, shift, force in self.near[side][item]:
                total += force * (middle[other] + shift)
                weight += force
            wanted.append(total / weight if weight else middle[item])
            weights.append(weight or 0.01)
        offsets = [0.0]
        for one, two in itertools.pairwise(items):
            offsets.append(offsets[-1] + (self.across[one] + self.across[two]) / 2 + SEPARATION)
        blocks: list[list[float]] = []  # mean, weight, how many
        for want, weight, offset in zip(wanted, weights, offsets, strict=True):
            blocks.append([want - offset, weight, 1])
            while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
                mean, heavy, count = blocks.pop()
                last = blocks[-1]
                last[0] = (last[0] * last[1] + mean * heavy) / (last[1] + heavy)
                last[1] += heavy
                last[2] += count
        at = 0
        for mean, _, count in blocks:
            for _ in range(int(count)):
                middle[items[at]] = mean + offsets[at]
                at += 1

    # -------------------------------------------------------------------- along

    def bands(self, middle: Sequence[float]) -> list[tuple[float, float]]:
        """Where each rank begins and ends along the flow."""
        rank = {item: at for at, items in enumerate(self.scene.ranked.ranks) for item in items}
        steepest = [0.0] * len(self.scene.ranked.ranks)
        for joint in self.scene.joints:
            across = middle[joint.end] + self.comes(joint) - middle[joint.start] - self.leaves(joint)
            steepest[rank[joint.end]] = max(steepest[rank[joint.end]], abs(across))
        found: list[tuple[float, float]] = []
        at = 0.0
        for items, steep in zip(self.scene.ranked.ranks, steepest, strict=True):
            at += min(max(GAP, STEEP * steep), WIDEST_GAP) if found else 0.0
            thick = max((self.along[item] for item in items), default=0.0)
            found.append((at, at + thick))
            at += thick
        return found

    # -------------------------------------------------------------------- the whole

    def placed(self) -> Placed:
        """Everything together, with the frame."""
        scene = self.scene
        middle = self.spread()
        bands = self.bands(middle)
        framed = scene.framed
        title = width(scene.group.title, 13.0, bold=True) + 44.0 if framed else 0.0
        low = min((m - a / 2 for m, a in zip(middle, self.across, strict=True)), default=0.0)
        high = max((m + a / 2 for m, a in zip(middle, self.across, strict=True)), default=0.0)
        across = high - low + 2 * PAD
        along = bands[-1][1]
        before = PAD if not framed else BAR if self.down else 0.0  # along
        after = 0.0 if framed else PAD
        above = BAR if framed and not self.down else 0.0  # across
        if framed and self.down:
            missing = max(title - across, 0.0)
            low -= missing / 2
            across += missing
        elif framed and title > along:
            bands[-1] = (title, title)
            along = title
        middle = [m - low + PAD + above for m in middle]
        bands = [(start + before, stop + before) for start, stop in bands]
        along, across = along + before + after, across + above
        rank = {item: at for at, items in enumerate(scene.ranked.ranks) for item in items}
        heart = [(sum(bands[rank[item]])) / 2 for item in range(len(scene.items))]
        joints = {(joint.start, joint.end): joint for joint in scene.joints}
        paths = tuple(self.path(way.chain, middle, heart, bands, rank, joints) for way in scene.ways)
        centres = tuple(zip(middle, heart, strict=True)) if self.down else tuple(zip(heart, middle, strict=True))
        return Placed(
            scene=scene,
            width=across if self.down else along,
            height=along if self.down else across,
            centres=centres,
            paths=paths,
            inner=self.inner,
            ins=tuple(middle[item] for item in range(len(scene.ins))),
            outs=tuple(middle[item] for item in self.leaving()),
        )

    def leaving(self) -> list[int]:
        """The items at which values leave through the frame, in the order of ``outs``."""
        count = len(self.scene.outs)
        return [way.chain[-1] for way in self.scene.ways[len(self.scene.ways) - count :]]

    def path(
        self,
        chain: Sequence[int],
        middle: Sequence[float],
        heart: Sequence[float],
        bands: Sequence[tuple[float, float]],
        rank: dict[int, int],
        joints: dict[tuple[int, int], Joint],
    ) -> str:
        """An edge: straight in the ranks, bent between them."""
        first, last = chain[0], chain[-1]  # a stretch without length would give an arrow no direction
        begin = middle[first] + self.leaves(joints[first, chain[1]])
        text = "M" + self.point(begin, heart[first] + self.along[first] / 2)
        for start, end in itertools.pairwise(chain):
            joint = joints[start, end]
            one, two = middle[start] + self.leaves(joint), middle[end] + self.comes(joint)
            near, far = bands[rank[start]][1], bands[rank[end]][0]
            half = (near + far) / 2
            bend = f"{self.point(one, half)} {self.point(two, half)} {self.point(two, far)}"
            edge = self.point(one, near)
            text += f"C{bend}" if text == f"M{edge}" else f"L{edge}C{bend}"
        stop = self.point(two, heart[last] - self.along[last] / 2)
        return text if text.endswith(stop) else f"{text}L{stop}"

    def point(self, across: float, along: float) -> str:
        """A point as SVG writes it."""
        x, y = (across, along) if self.down else (along, across)
        return f"{x:.1f} {y:.1f}"
