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
        self._device = ""
        self._follow = None
        self.installer = installer.Installer()
        self.installer.onLog = ui.installLogText.appendPlainText
        self.installer.onFinished = self._onInstalled
        self.installer.onFailed = self._onFailed
        ui.installButton.clicked.connect(self.onInstall)
        ui.cancelInstallButton.clicked.connect(self.onCancel)
        ui.setupCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: self.show())
        self.show()

    @property
    def running(self) -> bool:
        """Whether packages are being installed."""
        return self.installer.running

    def showDevice(self, device: str) -> None:
        """Show what the networks run on."""
        self._device = device
        self.show()

    def show(self) -> None:
        """Show what is installed, and what is missing."""
        missing = installer.missing()
        ui = self._ui
        ui.tensorflowLabel.text = installer.tensorflow_version() or _("not installed")
        ui.deviceLabel.text = self._device or _("known after the first track")
        ui.weightsLabel.text = installer.weights_version()
        if not self.running:
            ui.installLabel.text = (
                _("Missing: {packages}").format(packages=", ".join(missing))
                if missing
                else _("Everything that tracking needs is installed.")
            )
            ui.installButton.visible = bool(missing)
            ui.cancelInstallButton.visible = bool(missing)

    def installFirst(self, follow) -> None:
        """Install what is missing, once the user has agreed; then call `follow`."""
        self._follow = follow
        self.onInstall()

    def onInstall(self) -> None:
        """Install what is missing, once the user has agreed."""
        ui = self._ui
        wheels = ui.wheelsPathLineEdit.currentPath
        ui.setupCollapsibleButton.collapsed = False
        ui.installLogText.clear()
        ui.installLogText.visible = True
        ui.installProgressBar.visible = True
        self.installer.install(Path(wheels) if wheels else None)
        if self.running:
            ui.installLabel.text = _("Downloading. Nothing is installed before this is complete.")
        self._onChanged()

    def onCancel(self) -> None:
        """Stop the download."""
        self.installer.cancel()
        self._end()

    def _onInstalled(self) -> None:
        follow = self._follow
        self._end()
        if follow:
            follow()

    def _onFailed(self, message: str, _log: str) -> None:
        self._end(message)

    def _end(self, message: str = "") -> None:
        self._follow = None
        self._ui.installProgressBar.visible = False
        self.show()
        if message:
            self._ui.installLabel.text = message
        self._onChanged()
