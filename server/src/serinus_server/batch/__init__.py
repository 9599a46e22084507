"""Batch prediction: a file's rows through the served model, in order, chunk by chunk, resumable.

``readers`` make chunks of files, ``answers`` asks the model for them just as a server would,
``writers`` make bytes of the answers, ``spool`` puts these to disk so that any interrupted run can go
on, and ``run`` holds them together. ``python -m serinus_server.batch`` is ``serinus predict``.
"""
