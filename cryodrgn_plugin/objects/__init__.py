"""The plugin's results are the host's own objects (`pwem.objects`, flexibility included); it defines none itself."""
