"""How statistics of agreement are written on pages."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from annotations.algorithms.reliability import Estimate
from annotations.algorithms.shares import Share
from annotations.algorithms.winrate import WinRate

register = template.Library()


@register.filter
def tally(count: int) -> str:
    """Return a count with its thousands apart."""
    return f"{count:,}".replace(",", "\u202f")


@register.filter
def share_of(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.0f}\u202f%"


@register.filter
def share(estimate: Estimate) -> str:
    """Return the value of an estimated share in percent."""
    return "–" if estimate.value is None else share_of(estimate.value)


@register.filter
def coefficient(estimate: Estimate) -> str:
    """Return a coefficient to two digits."""
    return "–" if estimate.value is None else _signed(estimate.value)


@register.filter
def share_ends(estimate: Estimate) -> str:
    """Return the interval of a share, or why there is none."""
    if estimate.low is None or estimate.high is None:
        return "no interval yet"
    return f"{100 * estimate.low:.0f} to {100 * estimate.high:.0f}\u202f%"


@register.filter
def interval(share: Share | WinRate) -> str:
    """Return the interval of a counted share, in the language of whoever looks."""
    low, high = f"{100 * share.low:.0f}", f"{100 * share.high:.0f}"
    return _("%(low)s to %(high)s %%") % {"low": low, "high": high}


@register.filter
def ends(estimate: Estimate) -> str:
    """Return the interval of a coefficient, or why there is none."""
    if estimate.low is None or estimate.high is None:
        return "no interval yet"
    return f"{_signed(estimate.low)} to {_signed(estimate.high)}"


@register.simple_tag
def picture(drawing: str) -> SafeString:
    """Return an SVG of `annotations.agreement_charts`, which escapes what people wrote."""
    return mark_safe(drawing)  # noqa: S308  # drawn by agreement_charts, which escapes


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "\u2212")
