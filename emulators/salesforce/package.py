"""A metadata package: the zip's files as components, held against its package.xml."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

from emulators.salesforce.errors import OrgError

NAMESPACE = "{http://soap.sforce.com/2006/04/metadata}"
# Folder → (component type, file ending). Types without rules of their own here are accepted as they are.
FOLDERS = {
    "objects": ("CustomObject", "object"),
    "permissionsets": ("PermissionSet", "permissionset"),
    "layouts": ("Layout", "layout"),
    "tabs": ("CustomTab", "tab"),
    "applications": ("CustomApplication", "app"),
    "flexipages": ("FlexiPage", "flexipage"),
    "quickActions": ("QuickAction", "quickAction"),
}

# Component type → its elements in an object's file.
PARTS = {"CustomField": "fields", "ListView": "listViews", "CompactLayout": "compactLayouts"}


class Problem(Exception):  # noqa: N818 - the Metadata API's own word for it
    """Why a component is refused, in the deployment's words."""


@dataclass
class Outcome:
    """What became of one component."""

    type: str
    name: str
    file: str
    problem: str | None = None
    created: bool = False
    changed: bool = True


@dataclass(frozen=True)
class Component:
    type: str
    name: str
    file: str
    root: ElementTree.Element


@dataclass
class Package:
    """Components by type, what package.xml names, and what was wrong before any rule was asked."""

    components: list[Component] = field(default_factory=list)
    named: dict[str, set[str]] = field(default_factory=dict)
    outcomes: list[Outcome] = field(default_factory=list)

    def of(self, kind: str) -> list[Component]:
        return [component for component in self.components if component.type == kind]

    def names(self, kind: str, name: str, wildcard: bool = True) -> bool:
        """Whether package.xml lists the component, by name or by `*`."""
        members = self.named.get(kind, set())
        return name in members or (wildcard and "*" in members)


def tag(element: ElementTree.Element) -> str:
    return element.tag.removeprefix(NAMESPACE)


def text(element: ElementTree.Element, name: str) -> str | None:
    """The stripped text of a child, None when it is absent or empty."""
    found = element.find(NAMESPACE + name)
    return found.text.strip() if found is not None and found.text and found.text.strip() else None


def flag(element: ElementTree.Element, name: str) -> bool:
    return text(element, name) == "true"


def children(element: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return element.findall(NAMESPACE + name)


def check_tags(element: ElementTree.Element, kind: str, known: frozenset[str]) -> None:
    """Refuse what the metadata type does not have, with the Metadata API's wording."""
    for below in element:
        if tag(below) not in known:
            raise Problem(
                f"Element {{{NAMESPACE[1:-1]}}}{tag(below)} invalid at this location in type {kind}"
            )


def read_package(data: bytes) -> Package:
    """Open a deployment's zip; raises OrgError when it is none or has no package.xml."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile:
        raise OrgError("INVALID_TYPE", "The zip file could not be read") from None
    files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    if "package.xml" not in files:
        package = Package()
        message = "No package.xml found"
        package.outcomes.append(Outcome("", "package.xml", "package.xml", message))
        return package
    package = Package()
    manifest = _parse(package, "package.xml", files.pop("package.xml"))
    if manifest is None:
        return package
    for types in children(manifest, "types"):
        members = {(member.text or "").strip() for member in children(types, "members")}
        package.named.setdefault(text(types, "name") or "", set()).update(members)
    for name, content in sorted(files.items()):
        _add(package, name, content)
    package.outcomes += list(_missing(package))
    return package


def _parse(package: Package, name: str, content: bytes) -> ElementTree.Element | None:
    try:
        return ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        package.outcomes.append(Outcome("", name, name, f"Error parsing file: {error}"))
        return None


def _add(package: Package, name: str, content: bytes) -> None:
    folder, _, file = name.rpartition("/")
    kind, ending = FOLDERS.get(folder.rpartition("/")[2], ("", ""))
    if not kind or not file.endswith("." + ending):
        message = f"The file {name} belongs to no metadata type that this org knows"
        package.outcomes.append(Outcome("", name, name, message))
        return
    root = _parse(package, name, content)
    if root is None:
        return
    if tag(root) != kind:
        package.outcomes.append(Outcome(kind, file, name, f"Expected a {kind} but found {tag(root)}"))
        return
    component = Component(kind, file.removesuffix("." + ending), name, root)
    if not _is_named(package, component):
        message = f"{kind} '{component.name}' was found in the zip but is not named in package.xml"
        package.outcomes.append(Outcome(kind, component.name, name, message))
        return
    package.components.append(component)


def _is_named(package: Package, component: Component) -> bool:
    custom = component.name.endswith("__c")
    if package.names(component.type, component.name, wildcard=component.type != "CustomObject" or custom):
        return True
    prefix = component.name + "."
    parts = set().union(*(package.named.get(kind, set()) for kind in PARTS))
    return component.type == "CustomObject" and any(member.startswith(prefix) for member in parts)


def _missing(package: Package) -> Iterator[Outcome]:
    found = {(component.type, component.name) for component in package.components}
    for kind, members in package.named.items():
        for member in sorted(members - {"*"}):
            present = (kind, member) in found
            if kind in PARTS:
                present = _has_part(package, kind, member)
            if not present:
                message = f"{kind} '{member}' was named in package.xml but not found in the zip"
                yield Outcome(kind, member, "package.xml", message)


def _has_part(package: Package, kind: str, member: str) -> bool:
    owner, _, part = member.partition(".")
    for component in package.of("CustomObject"):
        if component.name == owner:
            elements = children(component.root, PARTS[kind])
            return any(text(element, "fullName") == part for element in elements)
    return False
