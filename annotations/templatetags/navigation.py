"""Links that know whether they lead to the page that they stand on."""

from __future__ import annotations

from django import template
from django.template.context import RequestContext
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()


@register.simple_tag(takes_context=True)
def nav_link(
    context: RequestContext, url_name: str, label: str, project_id: int, *, exact: bool = False
) -> SafeString:
    """Return a list item with a link, marked where it leads to the page or folder shown."""
    url = reverse(url_name, args=[project_id])
    path = context["request"].path
    is_current = path == url if exact else path.startswith(url)
    current = SafeString(' aria-current="page"') if is_current else ""
    return format_html('<li><a href="{}"{}>{}</a></li>', url, current, label)
