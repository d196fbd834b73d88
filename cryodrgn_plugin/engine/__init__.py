"""The reconstruction engine: particles in, a run folder out. It imports nothing of any host."""

from . import compiled_kernels, large_pages, threads

threads.let_waiting_threads_sleep()
large_pages.ask_for_large_pages()
compiled_kernels.find_room()
