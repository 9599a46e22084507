"""The sandbox's gateway: Gateway API objects in, configuration of a real Envoy out.

``attach`` decides which route serves where, ``config`` translates that for Envoy, ``statuses`` for
people; all three are pure. ``envoy`` and ``controller`` do the work.
"""
