"""Entry script: navigation only."""

from workbench.shell import navigation

navigation().run()
