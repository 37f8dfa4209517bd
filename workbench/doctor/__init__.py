"""What this machine offers, what is wrong with it, and what to do about each thing."""

from pathlib import Path

from workbench.doctor.checks import Finding, examine_machine, examine_software, examine_workspace

__all__ = ["Finding", "examine"]


def examine(workspace_root: Path) -> list[Finding]:
    """Examine machine, installation and workspace. Changes nothing; whatever may crash runs in a child process."""
    return [*examine_machine(workspace_root), *examine_software(), *examine_workspace(workspace_root)]
