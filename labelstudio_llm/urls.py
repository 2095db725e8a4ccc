"""Every address of the site. The pages themselves belong to the two apps."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from annotations.views import accounts
from labelstudio_llm.middleware import answer_failure

handler500 = answer_failure
urlpatterns = [
    path("api/v1/", include("labelstudio_llm.api")),
    path("", include("annotations.urls")),
    path("", include("training.urls")),
    # Before the admin's own, which would know no throttle.
    path("admin/login/", accounts.sign_in_to_admin, name="sign_in_to_admin"),
    path("admin/", admin.site.urls),
]
