"""The command line, `cryodrgn-plugin COMMAND`. One module per command: `add_arguments(parser)` and `run(args) -> int`.

A command's module is imported only when it is asked for, and it imports what computes only when it runs, so that help
appears at once.
"""
