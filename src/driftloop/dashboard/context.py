"""What every page is made with: settings, read model, templates, jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, cast
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from driftloop import __version__
from driftloop.dashboard.access import Door, Visitor
from driftloop.dashboard.jobs import Jobs
from driftloop.dashboard.live import Live
from driftloop.dashboard.memo import Memo
from driftloop.dashboard.plots import OUTCOME_TONES, STATE_TONES, spark
from driftloop.dashboard.words import FILTERS
from driftloop.readmodel import Queries, ReadModel
from driftloop.settings import Settings

if TYPE_CHECKING:
    from driftloop.backtest.result import Result

THEMES = ("light", "dark")


@dataclass(frozen=True, slots=True)
class Context:
    """What the pages share.

    Attributes:
        settings: The configuration.
        model: The read model.
        queries: Asks it.
        live: Keeps it fresh.
        door: Says who asks.
        jobs: Explanations, made beside the pages.
        trials: Trials of policies, one at a time.
        memo: Gives answers about the whole fleet again for a short while.
        templates: The pages' HTML.
    """

    settings: Settings
    model: ReadModel
    queries: Queries
    live: Live
    door: Door
    jobs: Jobs
    trials: Jobs
    memo: Memo
    templates: Environment

    def page(
        self, request: Request, template: str, *, status: int = 200, **values: Any
    ) -> HTMLResponse:
        """Render a template; it knows who asks, and what the query says."""
        visitor: Visitor = request.state.visitor
        theme = request.cookies.get("theme", "")
        given = {
            "visitor": visitor,
            "form_token": request.state.token,
            "path": request.url.path,
            "query": dict(request.query_params),
            "with_query": _with_query(request),
            "theme": theme if theme in THEMES else "",
            "live": self.live,
            "version": __version__,
            "takes_tokens": self.door.takes_tokens,
            **values,
        }
        return HTMLResponse(self.templates.get_template(template).render(given), status)


def make_templates() -> Environment:
    """The templates of the package; every value is escaped but what is `Markup`."""
    found = Environment(
        loader=PackageLoader("driftloop.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(FILTERS)
    found.filters.update(svg=Markup, spark=_spark, frontier=_frontier)
    found.filters.update(frontier_key=_frontier_key, policies=_policies)
    found.globals.update(state_tones=STATE_TONES, outcome_tones=OUTCOME_TONES)
    return found


def _spark(values: Sequence[float | None], reference: float | None, label: str) -> Markup:
    return Markup(spark(values, reference, label))  # noqa: S704  # it escapes what it is given


def _frontier(result: Result, width: int) -> Markup:
    from driftloop.backtest.frontier_plot import frontier_plot  # noqa: PLC0415  # is slow to import

    return Markup(frontier_plot(result, width=width, height=420))  # noqa: S704  # as above


def _frontier_key(result: Result) -> Markup:
    from driftloop.backtest.frontier_plot import legend  # noqa: PLC0415  # is slow to import

    return Markup(legend(result))  # noqa: S704  # as above


def _policies(result: Result) -> Markup:
    from driftloop.backtest.page_tables import policies_table  # noqa: PLC0415  # as above

    return Markup(policies_table(result))  # noqa: S704  # as above


def _with_query(request: Request) -> Any:
    def link(**changes: Any) -> str:
        """The page's address with some parts of the query changed; None takes one out."""
        kept: Mapping[str, Any] = {**request.query_params, **changes}
        told = {name: value for name, value in kept.items() if value not in {None, ""}}
        return f"{request.url.path}?{urlencode(told)}" if told else request.url.path

    return link


def _context(request: Request) -> Context:
    return cast("Context", request.app.state.context)


Shared = Annotated[Context, Depends(_context)]


def field(request: Request, name: str) -> str:
    """First value of a field of the form that was sent, or empty."""
    values: list[str] = request.state.form.get(name, [])
    return values[0].strip() if values else ""
