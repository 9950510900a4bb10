"""What an administrator gives people to look at: layouts, list views, tabs and apps, kept as they were deployed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Columns of list views and related lists that go by a name of their own, not by the field's.
TOKENS: Mapping[str, str] = {
    "NAME": "Name",
    "CREATED_DATE": "CreatedDate",
    "LAST_UPDATE": "LastModifiedDate",
    "FULL_NAME": "Name",
    "ACCOUNT.NAME": "Name",
    "OPPORTUNITY.NAME": "Name",
    "OPPORTUNITY.STAGE_NAME": "StageName",
    "OPPORTUNITY.AMOUNT": "Amount",
    "OPPORTUNITY.CLOSE_DATE": "CloseDate",
    "CASES.CASE_NUMBER": "CaseNumber",
    "CASES.SUBJECT": "Subject",
    "CASES.STATUS": "Status",
    "CASES.PRIORITY": "Priority",
    "CASES.CREATED_DATE": "CreatedDate",
    "CASES.CREATED_DATE_DATE_ONLY": "CreatedDate",
    "CASES.CLOSED": "IsClosed",
    "CONTACT.TITLE": "Title",
    "CONTACT.EMAIL": "Email",
    "CONTACT.PHONE1": "Phone",
}
# Tokens that begin with an object's name, seen from another object: the parent's.
PARENTS: Mapping[tuple[str, str], str] = {
    ("Opportunity", "ACCOUNT.NAME"): "Account.Name",
    ("Case", "ACCOUNT.NAME"): "Account.Name",
}
# Related list of a standard object → (child, its reference); lists without columns have neither.
RELATED: Mapping[str, tuple[str, str] | None] = {
    "RelatedOpportunityList": ("Opportunity", "AccountId"),
    "RelatedContactList": ("Contact", "AccountId"),
    "RelatedCaseList": ("Case", "AccountId"),
    "RelatedActivityList": None,
    "RelatedHistoryList": None,
    "RelatedNoteList": None,
    "RelatedFileList": None,
}


@dataclass(frozen=True)
class RelatedList:
    """`child` and `reference` are empty for activities, history and the like. `columns` are field paths."""

    name: str
    child: str = ""
    reference: str = ""
    columns: tuple[str, ...] = ()
    sort: str = ""


@dataclass(frozen=True)
class Layout:
    """`sections`: (label, (field, behavior) …), columns one after the other."""

    name: str
    object: str
    sections: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    related: tuple[RelatedList, ...]

    @property
    def own(self) -> bool:
        """Whether everyone gets it at once: a custom object's layout. One of a standard object must be assigned."""
        return self.object.endswith("__c")


@dataclass(frozen=True)
class ListView:
    """`columns` are field paths; `where` is the filter as a condition of SOQL, empty for all."""

    object: str
    name: str
    label: str
    columns: tuple[str, ...]
    where: str


@dataclass
class Pages:
    """All of it. `highlights`: object → fields at the head of its records; `granted`: permission set → (tabs, apps)."""

    layouts: dict[str, Layout] = field(default_factory=dict)
    list_views: dict[tuple[str, str], ListView] = field(default_factory=dict)
    highlights: dict[str, tuple[str, ...]] = field(default_factory=dict)
    tabs: set[str] = field(default_factory=set)
    apps: dict[str, tuple[str, ...]] = field(default_factory=dict)
    granted: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)

    def copy(self) -> Pages:
        return Pages(
            dict(self.layouts),
            dict(self.list_views),
            dict(self.highlights),
            set(self.tabs),
            dict(self.apps),
            dict(self.granted),
        )
