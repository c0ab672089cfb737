"""The panel's setup: what tracking needs, whether it is installed, and installing it."""

from __future__ import annotations

from pathlib import Path

from slicer.i18n import tr as _

from . import installer


class Setup:
    """Shows what is installed, and lets the user install what is missing.

    Parameters
    ----------
    ui
        The panel's widgets.
    onChanged
        Called without arguments when an installation has begun or ended.
    """

    def __init__(self, ui, onChanged) -> None:
        self._ui = ui
        self._onChanged = onChanged
        self._runtime = self._device = ""
        self._running = False
        ui.installButton.clicked.connect(self.onInstall)
        ui.setupCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: self.show())
        self.show()

    @property
    def running(self) -> bool:
        """Whether packages are being installed."""
        return self._running

    def showRuntime(self, runtime: str, device: str) -> None:
        """Show what runs the networks, and on what device."""
        self._runtime, self._device = runtime, device
        self.show()

    def show(self) -> None:
        """Show what is installed, and what is missing."""
        missing = installer.missing()
        ui = self._ui
        ui.runtimeLabel.text = self._runtime or installer.runtimes() or _("not installed")
        ui.deviceLabel.text = self._device or _("known after the first track")
        ui.weightsLabel.text = installer.weights_version()
        ui.installLabel.text = (
            _("Missing: {packages}").format(packages=", ".join(missing))
            if missing
            else installer.outOfDate() or _("Everything that tracking needs is installed.")
        )
        ui.installButton.visible = bool(missing)

    def onInstall(self) -> bool:
        """Install what is missing, if the user agrees, and say whether it is there now.

        Slicer shows the progress in a dialog, so this returns when it has ended.
        """
        if self._running:  # the events of that dialog come here, too
            return False
        ui, message = self._ui, ""
        ui.setupCollapsibleButton.collapsed = False
        wheels = ui.wheelsPathLineEdit.currentPath
        self._running = True
        self._onChanged()
        try:
            installer.install(Path(wheels) if wheels else None)
        except installer.InstallError as error:
            message = str(error)
        finally:
            self._running = False
        self.show()
        if message:
            ui.installLabel.text = message
        self._onChanged()
        return not message
