"""Home: contents of the workspace, jobs, and the next step."""

from workbench import shell
from workbench.actions.jobs import overview
from workbench.components.home import job_list, last_result, pipeline_strip, result_picture, space_on_disk
from workbench.components.imports import import_dialog, welcome

workspace = shell.begin("Home")

has_premises = overview(workspace)["premises"] > 0
if not has_premises:
    welcome(workspace)
    pipeline_strip(workspace, on_import=None)
else:
    pipeline_strip(workspace, on_import=lambda: import_dialog(workspace))
    last_result(workspace)
    result_picture(workspace)
job_list(workspace)
if has_premises:
    space_on_disk(workspace)
