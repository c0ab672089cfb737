"""The parts of the MammoTracker module's panel.

The oldest Slicer that they run in is 5.10. Calls that came later are asked for first, here:

=====  ==========================================================  ================
since  call                                                        in
=====  ==========================================================  ================
5.12   ``slicer.packaging.pip_ensure``                             ``installer``
5.12   ``SampleDataLogic.registerCustomSampleDataCategory``        ``sample_data``
=====  ==========================================================  ================
"""
