"""Matplotlib's SVG made fit for an inline place in a page with a strict content-security policy.

No ``style`` attribute is left (the policy would drop it): placeholder colours become classes, the rest becomes plain
attributes.  Ids are renamed per chart so that two charts never share one; every chart has a title and a description.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from xml.etree import ElementTree

from . import raster
from .style import ROLES, drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DROPPED = {"metadata", "style"}
INHERITED = {"font-family", "stroke-linejoin", "stroke-linecap"}  # the page says it once for all charts
COORDINATES = ("d", "x", "y", "width", "height", "transform", "points")
NOUGHT = {("transform", "rotate(-0"), ("stroke-dashoffset", "0")}  # by their first words: they change nothing
REFERENCE = re.compile(r"^#(.+)$|^url\(#(.+)\)$")


class Shown(Protocol):
    """What a panel shows: as markup for a page, and as a figure for people."""

    def markup(self) -> str:
        """An ``<svg>`` element without namespaces, styles, scripts or anything from outside."""
        ...

    def drawn(self) -> Figure:
        """A figure, made within ``style.drawing()``; it may have placeholder colours."""
        ...


@dataclass(frozen=True)
class Picture:
    """A figure with all that a page says of it; only ``markup`` writes it out, which is most of the work.

    ``figure`` was drawn within ``style.drawing()``; ``prefix`` begins every id and is unique in the page; ``title`` is
    a short name for those who do not see the chart and ``description`` what it shows, with its numbers; ``tips`` are,
    for the ``gid`` of a mark, what is shown when the pointer rests on it.
    """

    figure: Figure
    prefix: str
    title: str
    description: str
    tips: Mapping[str, str]

    def markup(self) -> str:
        """An ``<svg>`` element without namespaces, styles, scripts or anything from outside."""
        with drawing():
            return _written(self.figure, self.prefix, self.title, self.description, self.tips)

    def drawn(self) -> Figure:
        """The figure itself, in placeholder colours."""
        return self.figure


@dataclass(frozen=True)
class Later:
    """A picture that is drawn when it is first asked for, which a page with too many panels for it never does."""

    draw: Callable[[], Picture]

    @functools.cached_property
    def picture(self) -> Picture:
        """The picture, drawn once."""
        with drawing():
            return self.draw()

    def markup(self) -> str:
        """An ``<svg>`` element without namespaces, styles, scripts or anything from outside."""
        return self.picture.markup()

    def drawn(self) -> Figure:
        """The figure itself, in placeholder colours."""
        return self.picture.drawn()


def inline(figure: Figure, prefix: str, title: str, description: str, tips: Mapping[str, str]) -> Picture:
    """The figure as a picture for a page, written when the page is.

    Args:
        figure: drawn within ``style.drawing()``.
        prefix: begins every id; unique in the page.
        title: a short name for those who do not see the chart.
        description: what it shows, with its numbers.
        tips: for the ``gid`` of a mark, what is shown when the pointer rests on it.
    """
    return Picture(figure, prefix, title, description, tips)


def _written(figure: Figure, prefix: str, title: str, description: str, tips: Mapping[str, str]) -> str:
    stream, dense = io.StringIO(), raster.dense(figure)
    with raster.without_marks(figure) if dense else contextlib.nullcontext():
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ElementTree.fromstring(_xml_text(stream.getvalue()))
    names = _reference_names(root, prefix)
    for element in list(root.iter()):
        _clean(element, names, tips)
    for element in list(root.iter()):
        _flatten(element)
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib.update({"class": "chart", "role": "img", "aria-labelledby": f"{prefix}-title {prefix}-desc"})
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag, {"id": f"{prefix}-{tag}"})
        element.text = text
        root.insert(place, element)
    if dense:
        root.extend(raster.layers(figure))
    return ElementTree.tostring(root, encoding="unicode")


def _xml_text(text: str) -> str:
    """The document from its root element on; characters that XML forbids are left out."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]", "", text[text.index("<svg") :])


def _reference_names(root: ElementTree.Element, prefix: str) -> dict[str, str]:
    """New ids for those that something refers to, numbered in order of appearance."""
    used: set[str] = set()
    for element in root.iter():
        for value in element.attrib.values():
            if found := REFERENCE.match(value):
                used.add(found[1] or found[2])
    ids = [element.attrib["id"] for element in root.iter() if element.attrib.get("id") in used]
    return {name: f"{prefix}-{number}" for number, name in enumerate(dict.fromkeys(ids))}


def _clean(element: ElementTree.Element, names: Mapping[str, str], tips: Mapping[str, str]) -> None:
    element.tag = _local(element.tag)
    for child in [child for child in element if _local(child.tag) in DROPPED]:
        element.remove(child)
    for child in [child for child in element if _local(child.tag) == "defs" and not len(child)]:
        element.remove(child)
    attributes = {_local(name): value for name, value in element.attrib.items()}
    element.attrib.clear()
    own = attributes.pop("id", "")
    if own in names:
        element.attrib["id"] = names[own]
    if own in tips:
        tip = ElementTree.Element("title")
        tip.text = tips[own]
        element.insert(0, tip)
    attributes.update(_presentation(attributes.pop("style", "")))
    for name, value in attributes.items():
        if found := REFERENCE.match(value):
            new = names[found[1] or found[2]]
            value = f"#{new}" if found[1] else f"url(#{new})"
        elif (name, value.partition(" ")[0]) in NOUGHT:
            continue
        elif name in COORDINATES:
            value = re.sub(r"-?\d+\.\d+", _short, re.sub(r"\s+", " ", value.strip()))
            value = re.sub(r" ?([A-Za-z]) ?", r"\1", value) if name == "d" else value
        element.attrib[name] = value
    for text in ("text", "tail"):
        value = getattr(element, text)
        if value is not None and not value.strip():
            setattr(element, text, None)


def _flatten(element: ElementTree.Element) -> None:
    """Take away groups that group nothing, and what a marker says that each of its uses says again."""
    place = 0
    while place < len(element):
        child = element[place]
        if child.tag == "g" and not child.attrib and (not len(child) or child[0].tag != "title"):
            element[place : place + 1] = list(child)
        else:
            place += 1
    if element.tag == "defs":
        for shape in element.iter("path"):
            shape.attrib = {name: value for name, value in shape.attrib.items() if name in ("id", "d")}


def _local(name: str) -> str:
    """A tag or attribute name without its namespace."""
    return name.rpartition("}")[2]


def _short(found: re.Match[str]) -> str:
    number = f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
    return "0" if number == "-0" else number


def _presentation(style: str) -> dict[str, str]:
    """Declarations of a style attribute as presentation attributes; placeholder colours as classes."""
    attributes: dict[str, str] = {}
    classes = []
    for declaration in style.split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name in ("fill", "stroke") and value in ROLES:
            classes.append(f"{'f' if name == 'fill' else 'k'}-{ROLES[value]}")
        elif name == "font":
            attributes["font-size"] = value.split("px")[0].split()[-1]
            if "bold" in value or "700" in value:
                attributes["font-weight"] = "700"
        elif name and name not in INHERITED:
            attributes[name] = value.removesuffix("px") if name == "font-size" else value
    if classes:
        attributes["class"] = " ".join(classes)
    return attributes
