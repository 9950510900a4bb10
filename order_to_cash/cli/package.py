"""The Salesforce package as source and as the zip that the Metadata API deploys.

Source format keeps one file a field; metadata format one file an object (Salesforce DX Developer Guide,
"Salesforce DX Project Structure and Source Format"). The zip of one source is always the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from order_to_cash.domain.errors import ConfigurationError

NAMESPACE = "http://soap.sforce.com/2006/04/metadata"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can carry
_XML_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'


@dataclass(frozen=True, order=True)
class Component:
    """One deployable thing: metadata type, such as CustomField, and full name, such as Account.CSM__c."""

    kind: str
    name: str


# Component type → (folder, ending) of its files in the source; the folder names its element in the object's file too.
_PARTS = {
    "CustomField": ("fields", "field"),
    "CompactLayout": ("compactLayouts", "compactLayout"),
    "ListView": ("listViews", "listView"),
}
# Component type → (folder, ending) of its files, in the source as in a deployment.
_FOLDERS = {
    "Layout": ("layouts", "layout"),
    "CustomTab": ("tabs", "tab"),
    "CustomApplication": ("applications", "app"),
    "PermissionSet": ("permissionsets", "permissionset"),
}


class SourcePackage:
    """The SFDX source in `root`, the folder of `sfdx-project.json`. Raises ConfigurationError when broken."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or source_root()
        self._default = self.root / "force-app" / "main" / "default"
        if not self._default.is_dir():
            raise ConfigurationError(
                "The Salesforce package is not where it is installed.",
                code="package_missing",
                remedy="Install o2c again; the folder salesforce/ belongs beside order_to_cash/.",
            )

    @property
    def api_version(self) -> str:
        project = json.loads((self.root / "sfdx-project.json").read_text(encoding="utf-8"))
        return str(project["sourceApiVersion"])

    def objects(self) -> dict[str, ElementTree.Element]:
        """Object API name → its CustomObject element with the fields merged in, sorted by name."""
        return {folder.name: self._object(folder) for folder in sorted((self._default / "objects").iterdir())}

    def layouts(self) -> dict[str, ElementTree.Element]:
        """Layout full name, such as `Account-Stripe Billing`, → its element."""
        return self._files("Layout")

    def permission_sets(self) -> dict[str, ElementTree.Element]:
        """Permission set API name → its element."""
        return self._files("PermissionSet")

    def fields(self) -> dict[str, tuple[str, ...]]:
        """Object API name → API names of the fields that the package adds to it."""
        return self.parts("CustomField")

    def parts(self, kind: str) -> dict[str, tuple[str, ...]]:
        """Object API name → API names of its parts of a kind, such as ListView."""
        tag = _tag(_PARTS[kind][0])
        return {
            name: tuple(_text(part, "fullName") for part in element.findall(tag))
            for name, element in self.objects().items()
        }

    def components(self) -> list[Component]:
        """All that the package deploys, sorted."""
        found = [Component("CustomObject", name) for name in self.objects() if name.endswith("__c")]
        for kind in _PARTS:
            parts = self.parts(kind).items()
            found += [Component(kind, f"{owner}.{name}") for owner, names in parts for name in names]
        return sorted(found + [Component(kind, name) for kind in _FOLDERS for name in self._files(kind)])

    def zip_bytes(self, *, multi_currency: bool = False) -> bytes:
        """A single-package deployment: package.xml at the top, a folder for each kind of component beside it.

        `multi_currency`: the org's records have a currency, and its layouts must show it.
        """
        files = {"package.xml": _serialize(self._manifest())}
        files |= {f"objects/{name}.object": _serialize(element) for name, element in self.objects().items()}
        for kind, (folder, ending) in _FOLDERS.items():
            for name, element in self._files(kind).items():
                if kind == "Layout" and multi_currency:
                    _show_currency(element)
                files[f"{folder}/{name}.{ending}"] = _serialize(element)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in sorted(files):
                archive.writestr(_entry(name), files[name])
        return buffer.getvalue()

    def _files(self, kind: str) -> dict[str, ElementTree.Element]:
        folder, ending = _FOLDERS[kind]
        suffix = f".{ending}-meta.xml"
        files = sorted((self._default / folder).glob(f"*{suffix}"))
        return {file.name.removesuffix(suffix): _parse(file) for file in files}

    def _object(self, folder: Path) -> ElementTree.Element:
        own = folder / f"{folder.name}.object-meta.xml"
        element = _parse(own) if own.exists() else ElementTree.Element(_tag("CustomObject"))
        for parts, ending in _PARTS.values():
            for file in sorted((folder / parts).glob(f"*.{ending}-meta.xml")):
                part = _parse(file)
                part.tag = _tag(parts)
                element.append(part)
        return element

    def _manifest(self) -> ElementTree.Element:
        package = ElementTree.Element(_tag("Package"))
        kinds: dict[str, list[str]] = {}
        for component in self.components():
            kinds.setdefault(component.kind, []).append(component.name)
        for kind, names in kinds.items():
            types = ElementTree.SubElement(package, _tag("types"))
            for name in names:
                ElementTree.SubElement(types, _tag("members")).text = name
            ElementTree.SubElement(types, _tag("name")).text = kind
        ElementTree.SubElement(package, _tag("version")).text = self.api_version
        return package


def _show_currency(layout: ElementTree.Element) -> None:
    """Add the record's currency to the layout's first column. An org with several refuses a layout without it:
    "Layout must contain an item for required layout field: CurrencyIsoCode"."""
    column = layout.find(f"{_tag('layoutSections')}/{_tag('layoutColumns')}")
    if column is None:
        return
    item = ElementTree.SubElement(column, _tag("layoutItems"))
    ElementTree.SubElement(item, _tag("behavior")).text = "Required"
    ElementTree.SubElement(item, _tag("field")).text = "CurrencyIsoCode"


def source_root() -> Path:
    """Where the package's source stands: beside `order_to_cash`, in a checkout as in an installed wheel."""
    return Path(__file__).resolve().parents[2] / "salesforce"


def _parse(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(file.read_bytes())  # noqa: S314  our own files, shipped with the program
    except ElementTree.ParseError as error:
        raise ConfigurationError(
            f"{file.name} is not well-formed XML: {error}.", code="package_broken", remedy="Restore the file."
        ) from None


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.create_system = 3  # Unix everywhere: the default is the system that runs us
    return entry


def _serialize(element: ElementTree.Element) -> bytes:
    ElementTree.register_namespace("", NAMESPACE)
    ElementTree.indent(element, space="    ")
    body: bytes = ElementTree.tostring(element, encoding="utf-8")
    return _XML_HEAD + body + b"\n"


def _text(element: ElementTree.Element, name: str) -> str:
    return element.findtext(_tag(name), default="")


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"
