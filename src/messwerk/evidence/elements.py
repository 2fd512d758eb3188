"""Elements of XML by their local names: containers come with, without and with wrong namespaces."""

from __future__ import annotations

from xml.etree.ElementTree import Element


def local_name(element: Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition(" ")[2]


def child_of(element: Element, name: str) -> Element | None:
    """The first child of that name; None without one."""
    return next((child for child in element if local_name(child) == name), None)


def child_text(element: Element, name: str) -> str | None:
    """Text of the first child of that name; None without one."""
    child = child_of(element, name)
    return None if child is None else (child.text or "").strip()
