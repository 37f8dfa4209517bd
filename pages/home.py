"""Home: what the workspace holds, what runs, what to do next."""

from workbench import shell
from workbench.actions.jobs import overview
from workbench.components.home.job_list import job_list
from workbench.components.home.last_result import last_result
from workbench.components.home.pipeline_strip import pipeline_strip
from workbench.components.premises_import import import_dialog, welcome

workspace = shell.begin("Home")

if not overview(workspace)["premises"]:
    welcome(workspace)
    pipeline_strip(workspace, on_import=None)
else:
    pipeline_strip(workspace, on_import=lambda: import_dialog(workspace))
    last_result(workspace)
job_list(workspace)
