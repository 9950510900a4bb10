"""The templates of mails: the built-in ones, and a company's own, which stand before them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, TemplateNotFound
from jinja2.sandbox import SandboxedEnvironment

from order_to_cash.domain.dunning.letters import Letter
from order_to_cash.domain.errors import ConfigurationError
from order_to_cash.domain.messages import one_line

BUILT_IN = Path(__file__).with_name("letters")
_SUBJECT = "Subject:"


@dataclass(frozen=True, slots=True)
class Written:
    """A mail in words."""

    subject: str
    text: str
    html: str


class MailTemplates:
    """`NAME.txt.j2`, whose first line is ``Subject: …``, and `NAME.html.j2`, each given a `Letter`.

    Jinja2 in its sandbox: HTML is escaped, and what is not there is an error instead of nothing.
    """

    def __init__(self, own: Path | None = None) -> None:
        self._folders = [folder for folder in (own, BUILT_IN) if folder is not None]
        self._jinja = SandboxedEnvironment(
            loader=FileSystemLoader(self._folders),
            autoescape=lambda name: name is not None and ".html" in name,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )

    def names(self) -> tuple[str, ...]:
        """Every template that can be written with."""
        found = {
            file.name.removesuffix(".txt.j2") for folder in self._folders for file in folder.glob("*.txt.j2")
        }
        return tuple(sorted(name for name in found if not name.startswith("_")))

    def write(self, name: str, letter: Letter) -> Written:
        """Raises ConfigurationError (`template_missing`, `template_broken`) naming file and line."""
        subject, _, text = self._rendered(f"{name}.txt.j2", letter).partition("\n")
        if not subject.startswith(_SUBJECT) or not one_line(subject.removeprefix(_SUBJECT)):
            raise _broken(f"{name}.txt.j2", 1, f"the first line must begin with {_SUBJECT}")
        html = self._rendered(f"{name}.html.j2", letter)
        return Written(one_line(subject.removeprefix(_SUBJECT)), text.strip() + "\n", html)

    def _rendered(self, file: str, letter: Letter) -> str:
        try:
            return self._jinja.get_template(file).render(letter=letter)
        except TemplateNotFound as missing:
            problem = ConfigurationError(
                f"There is no mail template {missing.name}.",
                code="template_missing",
                remedy=f"Put it into O2C_MAIL_TEMPLATES, or name one of these: {', '.join(self.names())}.",
            )
        except TemplateError as error:
            problem = _broken(file, getattr(error, "lineno", None), error.message or type(error).__name__)
        except (
            TypeError,
            ValueError,
            AttributeError,
            ArithmeticError,
            LookupError,
            UnicodeDecodeError,
        ) as error:
            problem = _broken(file, None, type(error).__name__)
        raise problem


def _broken(file: str, line: int | None, why: str) -> ConfigurationError:
    where = f"{file}, line {line}" if line else file
    return ConfigurationError(
        f"The mail template {where} cannot be used: {one_line(why)}.",
        code="template_broken",
        remedy="Correct it in the folder of O2C_MAIL_TEMPLATES, and try it with `o2c ladder preview`.",
    )
