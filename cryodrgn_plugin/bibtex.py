"""
@inproceedings{Kimanius2022,
title = "Sparse Fourier Backpropagation in Cryo-EM Reconstruction",
booktitle = "Advances in Neural Information Processing Systems",
volume = "35",
year = "2022",
author = "Kimanius, Dari and Jamali, Kiarash and Scheres, Sjors H. W.",
url = "https://proceedings.neurips.cc/paper_files/paper/2022",
}

@article{Zhong2021,
title = "CryoDRGN: reconstruction of heterogeneous cryo-EM structures using neural networks",
journal = "Nature Methods",
volume = "18",
number = "2",
pages = "176--185",
year = "2021",
doi = "https://doi.org/10.1038/s41592-020-01049-4",
url = "https://doi.org/10.1038/s41592-020-01049-4",
author = "Zhong, Ellen D. and Bepler, Tristan and Berger, Bonnie and Davis, Joseph H.",
}

@inproceedings{Zhong2020,
title = "Reconstructing continuous distributions of 3D protein structure from cryo-EM images",
booktitle = "International Conference on Learning Representations",
year = "2020",
url = "https://openreview.net/forum?id=SJxUjlBtwB",
author = "Zhong, Ellen D. and Bepler, Tristan and Davis, Joseph H. and Berger, Bonnie",
}
"""
