"""The sandbox's controller manager: what makes Deployments, Services and owners work.

Every module but ``manager`` and ``writes`` is pure: objects in, decisions out.
"""
