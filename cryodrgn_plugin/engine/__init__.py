"""The reconstruction engine: particles in, a run folder out. It imports nothing of any host."""

from . import threads

threads.let_waiting_threads_sleep()
