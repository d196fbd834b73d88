"""cryoDRGN's networks evaluated here are what their formulas say, coefficient by coefficient."""

import numpy as np
import pytest
import torch

from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.decoders.imported_network import ImportedNetwork, NetworkShape
from cryodrgn_plugin.engine.decoders.model_file import load_model, save_model
from cryodrgn_plugin.engine.errors import ConfigError, DataError, EngineError
from cryodrgn_plugin.engine.imaging.lattice import HalfPlane
from cryodrgn_plugin.engine.importing.cryodrgn_training import read_training
from cryodrgn_plugin.engine.io.plain_yaml import read_plain_yaml
from cryodrgn_plugin.tests.engine.cryodrgn_folder import Layout, parameters, slow_volume, write_training
from cryodrgn_plugin.tests.engine.hostile_inputs import mutated

Z = np.array([[0.4, -1.1], [1.0, 0.2], [-0.3, 0.8]])
LAYOUTS = {
    "vae": Layout(),
    "wide": Layout(width=26, norm=(0.25, 2.0)),
    "own_waves": Layout(encoding="geom_ft", waves=3, activation="leaky_relu"),
    "full": Layout(encoding="geom_full", prefix="decoder."),
    "linear": Layout(encoding="linear_lowf", layers=1),
    "fourier": Layout(domain="fourier", encoding="geom_lowf"),
    "fourier_gaussian": Layout(domain="fourier", activation="leaky_relu", layers=3),
    "fourier_nohighf": Layout(domain="fourier", encoding="geom_nohighf", prefix="module.decoder.decoder."),
    "coordinates": Layout(domain="fourier", encoding="none"),
}


def imported(folder, layout, seed=0):
    return read_training(write_training(folder, layout, Z[:, : layout.z_dim], None, seed))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_volume_is_the_sum_over_coefficients_of_the_published_network(tmp_path, name):
    layout = LAYOUTS[name]
    network = imported(tmp_path, layout).network
    for z in Z[:2]:
        expected = slow_volume(layout, parameters(layout), z)
        np.testing.assert_allclose(network.volume(z), expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["vae", "fourier"])
def test_slices_are_those_of_the_volume(tmp_path, name):
    network = imported(tmp_path, LAYOUTS[name]).network
    network.scale.fill_(-2.0)
    box, lattice = network.box, HalfPlane(network.box, network.box // 2 - 1)
    quarter = np.array([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    rotations = torch.tensor(np.stack([np.eye(3), quarter])[:, None], dtype=torch.float32)
    count = lattice.count(lattice.radius)
    z = torch.tensor(Z[:2], dtype=torch.float32)
    slices = network.slices(z, rotations, lattice, count)[:, 0].detach().numpy()
    axis = np.arange(box) - box // 2
    places = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)[..., ::-1].reshape(-1, 3)
    for image in (0, 1):
        k = lattice.indices[:count] @ rotations[image, 0, :2].numpy()
        expected = np.exp(-2j * np.pi * k @ places.T / box) @ network.volume(Z[image]).ravel()
        apart = np.abs(slices[image] - expected)[(lattice.indices[:count] != 0).any(1)]
        assert apart.max() < 1e-4 * np.abs(expected).max()


def test_slices_follow_latents_and_poses(tmp_path):
    network = imported(tmp_path, LAYOUTS["vae"]).network
    lattice = HalfPlane(network.box, 3)
    z = torch.tensor(Z[:2], dtype=torch.float32, requires_grad=True)
    rotations = torch.eye(3).expand(2, 1, 3, 3).clone().requires_grad_()
    network.slices(z, rotations, lattice, 9).abs().sum().backward()
    assert z.grad.abs().min() > 0 and rotations.grad[..., :2, :].abs().max() > 0


def test_a_stored_network_makes_the_same_volume(tmp_path):
    training = imported(tmp_path, LAYOUTS["fourier"])
    training.network.scale.fill_(0.5)
    save_model(tmp_path / "model.pt", RunConfig(z_dim=2), training.network, None, 1.5)
    again = load_model(tmp_path / "model.pt")
    np.testing.assert_array_equal(again.decoder.volume(Z[0]), training.network.volume(Z[0]))
    assert again.pixel_size_ang == 1.5
    with pytest.raises(ConfigError, match="not trained here"):
        again.decoder.prepare(None)


def test_a_search_for_poses_shrinks_its_disc_by_whole_pixels():
    shape = NetworkShape(16, 2, 0, 4, 1, 1, radius=6, shrinking=True)
    network = ImportedNetwork(shape)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.1)
    k = torch.tensor([[6.0, 0, 0], [5, 4, 0], [5, 0, 2], [6, 0, 2], [0, 0, 2], [0, 0, 0]])[None]
    values = network._hartley(torch.zeros(1, 2), k)[0]
    assert (values != 0).tolist() == [True, False, True, False, False, False]


def test_plain_yaml_is_text_numbers_and_nothing_else(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(
        "a:\n- '8'\n- 1.0e-05\n- -3\nb:\n  c: null\n  d: {}\n  path: /data/my set:1/\n    and more.mrcs\n"
        "  e: !!python/object/apply:os.system ['touch x']\nf: false\n"
    )
    values = read_plain_yaml(path)
    assert values["a"] == ["8", 1e-5, -3] and values["f"] is False
    assert values["b"]["c"] is None and values["b"]["path"] == "/data/my set:1/ and more.mrcs"
    assert values["b"]["e"].startswith("!!python")


@pytest.mark.parametrize("text", ["just words\n", "a: 1\n  b: 2\n", "- 1\n- 2\n"])
def test_what_is_no_mapping_of_settings_is_refused(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"line|entries"):
        read_plain_yaml(tmp_path / "c.yaml")


class Harm:
    def __reduce__(self):
        import os

        return os.system, ("touch harmed",)


def spoil(folder, what):
    config = folder / "config.yaml"
    if what == "encoding":
        config.write_text(config.read_text().replace("gaussian", "wavelets"))
    elif what == "other_z":
        config.write_text(config.read_text().replace("zdim: 2", "zdim: 3"))
    elif what == "domain":
        config.write_text(config.read_text().replace("hartley", "fourier"))
    elif what == "activation":
        config.write_text(config.read_text().replace("relu", "swish"))
    elif what == "norm":
        config.write_text(config.read_text().replace("  - 3.5\n", ""))
    elif what == "no_config":
        config.rename(folder / "config.pkl")
    elif what == "lattice":
        config.write_text(config.read_text().replace("D: 9", "D: 10"))
    elif what == "harm":
        torch.save({"model_state_dict": Harm()}, folder / "weights.pkl")
    elif what == "no_decoder":
        torch.save({"model_state_dict": {"x": torch.ones(3)}}, folder / "weights.pkl")
    elif what == "not_finite":
        state = {name: value * float("nan") for name, value in parameters(Layout()).items()}
        torch.save({"model_state_dict": state}, folder / "weights.pkl")
    else:
        (folder / "z.pkl").write_bytes(b"no pickle")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("encoding", "wavelets .* is not known"),
        ("other_z", "reads 26 values where .* 27"),
        ("domain", "gives 1 values where config.yaml says fourier"),
        ("activation", "swish is not known"),
        ("norm", "does not describe a training"),
        ("no_config", "before version 3"),
        ("lattice", "lattice of 10 points"),
        ("harm", "cannot be read as weights"),
        ("no_decoder", "no decoder of cryoDRGN"),
        ("not_finite", "not finite"),
        ("latents", "not a safe pickle"),
    ],
)
def test_what_is_not_supported_is_one_sentence(tmp_path, monkeypatch, what, said):
    monkeypatch.chdir(tmp_path)
    folder = write_training(tmp_path / "run", Layout(), Z, None)
    spoil(folder, what)
    with pytest.raises(DataError, match=said):
        read_training(folder)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["config.yaml", "weights.pkl", "z.pkl"])
def test_damaged_files_of_a_training_are_read_or_refused_in_a_sentence(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder = write_training(tmp_path / "run", Layout(domain="fourier"), Z, None)
    whole = (folder / name).read_bytes()
    refused = 0
    for number in range(60):
        (folder / name).write_bytes(mutated(whole, number))
        try:
            read_training(folder)
        except EngineError as error:
            refused += "\n" not in str(error)
    assert refused > 20


def test_an_epoch_is_taken_by_its_number(tmp_path):
    folder = write_training(tmp_path, Layout(), Z, np.zeros_like(Z))
    for number in (2, 10):
        (folder / f"z.{number}.pkl").write_bytes((folder / "z.pkl").read_bytes())
        torch.save(
            {"epoch": number, "model_state_dict": parameters(Layout(), number)}, folder / f"weights.{number}.pkl"
        )
    assert read_training(folder).epoch == 9
    assert read_training(folder, 2).epoch == 2
    for name in ("z.pkl", "weights.pkl"):
        (folder / name).unlink()
    assert read_training(folder).epoch == 10
    with pytest.raises(DataError, match=r"no weights\.7\.pkl; its epochs are 2 to 10"):
        read_training(folder, 7)
