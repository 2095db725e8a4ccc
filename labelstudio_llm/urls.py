"""Every address of the site. The pages themselves belong to the two apps."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("annotations.urls")),
    path("", include("training.urls")),
    path("admin/", admin.site.urls),
]
