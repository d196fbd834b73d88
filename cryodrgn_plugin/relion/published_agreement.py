"""What a comparison of searches for species publishes: particles of each species that they agree on, and its map."""

from pathlib import Path

from ..engine.run import Run
from .findings import particle_nodes, place, place_list
from .output_nodes import OutputNode
from .published import Published


def publish_agreement(run: Run, job: Path) -> Published:
    """All particles with their class, those of each species with the poses of one run, merged maps, and the sheet."""
    results = run.results("agreement")
    index = results.index
    place_list(results.folder / index["files"]["particles"], job / "particles.star")
    nodes = [*particle_nodes(job, "particles.star"), OutputNode(f"{job}/logfile.pdf", "log")]
    table = [["species", "particles", "found in", "all agree on", "poses of", "particle file"]]
    for entry in index["species"]:
        star = f"particles_class{entry['species']:03d}.star" if entry["star"] else ""
        if star:
            place_list(results.folder / entry["star"], job / star)
            nodes += particle_nodes(job, star)
        name = f"run_class{entry['species']:03d}.mrc"
        place(results.folder / entry["map"], job / name)
        nodes.append(OutputNode(f"{job}/{name}", "map"))
        found = f"{entry['found_in']} of {len(index['runs'])}"
        agreed = f"{entry['agreed']:,} ({entry['share_agreed']:.1%})"
        poses = entry["poses_of"] if star else ""
        table.append([str(entry["species"]), f"{entry['particles']:,}", found, agreed, poses, star])
    facts = [("Particles", f"{index['particles']:,}")]
    counted = (f"{one['name']}: {one['particles']:,} particles, {one['species']} species" for one in index["runs"])
    facts += [("Run", words) for words in counted]
    for pair in index["pairs"]:
        if pair["adjusted_rand_index"] is not None:
            of_both = f"{pair['adjusted_rand_index']:.3f}, {' and '.join(pair['runs'])}"
            facts.append(("Adjusted Rand index", of_both))
    facts += [("Divided otherwise", sentence) for sentence in index["divided_otherwise"]]
    figures = [("Species that runs agree on", file) for file in results.figures.values()]
    details = {name: index[name] for name in ("particles", "runs", "pairs", "species")}
    return Published(nodes, facts, table if len(table) > 1 else [], figures, details)
