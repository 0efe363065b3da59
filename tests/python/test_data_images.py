"""Random changes of images, and batches of them from arrays, folders and tables."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from kerasbridge.data import augment, images
from kerasbridge.errors import ArgumentError, DataError, FileError
from PIL import Image


def picture(height=5, width=7, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype("float32")


def change(**more):
    nothing = dict(
        theta=0, tx=0, ty=0, shear=0, zx=1, zy=1, flip_horizontal=False, flip_vertical=False,
        channel_shift=0, brightness=None,
    )  # fmt: skip
    return {**nothing, **more}


def test_no_change_is_no_change():
    image = picture()
    np.testing.assert_array_equal(augment.Augmentation().apply(image, change()), image)
    np.testing.assert_array_equal(augment.apply_affine(image, np.eye(3)), image)


def test_quarter_turns_and_shifts_are_exact():
    image = picture(6, 6)
    turned = augment.apply_affine(image, augment.affine_matrix((6, 6), theta=90))
    np.testing.assert_allclose(turned, np.rot90(image, -1), rtol=1e-5)
    down = augment.apply_affine(image, augment.affine_matrix((6, 6), tx=2))
    np.testing.assert_allclose(down[:4], image[2:], rtol=1e-5)
    np.testing.assert_allclose(down[5], image[5], rtol=1e-5)


@pytest.mark.parametrize("mode", ["nearest", "reflect", "constant"])
def test_the_interpolation_equals_scipy(mode):
    ndimage = pytest.importorskip("scipy.ndimage")
    image = picture(9, 12)
    matrix = augment.affine_matrix((9, 12), theta=25, tx=1.5, ty=-2, shear=10, zx=0.8, zy=1.2)
    ours = augment.apply_affine(image, matrix, mode, 7.0)
    theirs = np.stack(
        [
            ndimage.affine_transform(
                image[..., c], matrix[:2, :2], matrix[:2, 2], order=1, mode=mode, cval=7.0
            )
            for c in range(3)
        ],
        axis=-1,
    )
    inside = np.ones((9, 12), dtype=bool)
    if mode == "constant":  # a pixel reaches half a pixel beyond its middle; scipy cuts it there
        rows, columns = np.indices((9, 12))
        at = np.einsum("ij,jhw->ihw", matrix, np.stack([rows, columns, np.ones((9, 12))]))
        inside = (at[0] >= 0) & (at[0] <= 8) & (at[1] >= 0) & (at[1] <= 11)
        outside = (at[0] < -0.5) | (at[0] > 8.5) | (at[1] < -0.5) | (at[1] > 11.5)
        assert outside.sum() > 5 and (ours[outside] == 7).all()
    np.testing.assert_allclose(ours[inside], theirs[inside], rtol=1e-3, atol=1e-2)


def test_flips_brightness_and_channels():
    image = picture()
    a = augment.Augmentation()
    np.testing.assert_array_equal(a.apply(image, change(flip_horizontal=True)), image[:, ::-1])
    np.testing.assert_array_equal(a.apply(image, change(flip_vertical=True)), image[::-1])
    bright = a.apply(image, change(brightness=2.0))
    np.testing.assert_allclose(bright, np.clip(image * 2, 0, 255))
    shifted = a.apply(image, change(channel_shift=10.0))
    np.testing.assert_allclose(shifted, np.clip(image + 10, image.min(), image.max()))


def test_draws_lie_in_their_ranges_and_come_again_by_seed():
    a = augment.Augmentation(
        rotation_range=10, width_shift_range=0.2, height_shift_range=3, shear_range=5,
        zoom_range=[0.5, 0.9], brightness_range=[0.5, 1.5], channel_shift_range=20,
        horizontal_flip=True,
    )  # fmt: skip
    draws = [a.draw((40, 50, 3), np.random.default_rng(i)) for i in range(300)]
    assert max(abs(d["theta"]) for d in draws) <= 10
    assert 9 < max(abs(d["ty"]) for d in draws) <= 10 and max(abs(d["tx"]) for d in draws) <= 3
    assert min(d["zx"] for d in draws) >= 0.5 and max(d["zy"] for d in draws) <= 0.9
    assert 100 < sum(d["flip_horizontal"] for d in draws) < 200
    assert not any(d["flip_vertical"] for d in draws)
    assert a.draw((40, 50, 3), np.random.default_rng(7)) == draws[7]
    with pytest.raises(ArgumentError, match="zoom_range"):
        augment.Augmentation(zoom_range=[2, 1])
    with pytest.raises(ArgumentError, match="fill_mode"):
        augment.Augmentation(fill_mode="mirror")


def test_statistics_of_the_data():
    x = np.stack([picture(seed=i) for i in range(20)])
    generator = images.ImageGenerator(featurewise_std_normalization=True, rescale=1 / 255)
    with pytest.raises(DataError, match="fit_image_data_generator"):
        generator.standardize(x[0])
    generator.fit(x)
    out = np.stack([generator.standardize(image) for image in x])
    np.testing.assert_allclose(out.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(out.std(axis=(0, 1, 2)), 1, atol=1e-3)
    each = images.ImageGenerator(samplewise_std_normalization=True).standardize(x[0])
    assert each.mean() == pytest.approx(0, abs=1e-4) and each.std() == pytest.approx(1, abs=1e-3)


def test_whitening_decorrelates():
    x = np.random.default_rng(0).normal(size=(500, 2, 2, 1)).astype("float32")
    x[:, 0, 1] += x[:, 0, 0]
    generator = images.ImageGenerator(zca_whitening=True).fit(x)
    flat = np.stack([generator.standardize(image) for image in x]).reshape(500, -1)
    np.testing.assert_allclose(np.cov(flat.T), np.eye(4), atol=0.02)


def test_batches_of_an_array():
    x = np.stack([picture(seed=i) for i in range(10)])
    source = images.flow(
        images.ImageGenerator(), x, np.arange(10), sample_weight=np.arange(10.0), batch_size=4,
        seed=1,
    )  # fmt: skip
    assert len(source) == 3
    batches = [source[i] for i in range(3)]
    labels = np.concatenate([b[1] for b in batches])
    assert sorted(labels) == list(range(10)) and labels.tolist() != list(range(10))
    np.testing.assert_array_equal(np.concatenate([b[0] for b in batches]), x[labels])
    np.testing.assert_array_equal(np.concatenate([b[2] for b in batches]), labels)
    source.on_epoch_end()
    assert np.concatenate([source[i][1] for i in range(3)]).tolist() != labels.tolist()


def test_the_same_seed_gives_the_same_images():
    x = np.stack([picture(seed=i) for i in range(6)])
    generator = images.ImageGenerator(rotation_range=30, horizontal_flip=True)
    one, two = (images.flow(generator, x, batch_size=3, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one[1][0], two[1][0])
    other = images.flow(generator, x, batch_size=3, seed=6)
    assert not np.array_equal(one[1][0], other[1][0])


def test_subsets_share_nothing():
    x = np.stack([picture(seed=i) for i in range(10)])
    generator = images.ImageGenerator(validation_split=0.3)
    parts = {
        name: images.flow(generator, x, np.arange(10), subset=name, shuffle=False)[0][1].tolist()
        for name in ("training", "validation")
    }
    assert parts == {"validation": [0, 1, 2], "training": [3, 4, 5, 6, 7, 8, 9]}
    with pytest.raises(ArgumentError, match="validation_split"):
        images.flow(images.ImageGenerator(), x, subset="training")


def test_channels_first_in_and_out():
    x = np.stack([picture() for _ in range(2)]).transpose(0, 3, 1, 2)
    source = images.flow(images.ImageGenerator(data_format="channels_first"), x, shuffle=False)
    np.testing.assert_array_equal(source[0][0], x)


@pytest.fixture
def folder(tmp_path):
    for name, count in (("cat", 4), ("dog", 2)):
        (tmp_path / name / "more").mkdir(parents=True)
        for i in range(count):
            pixels = picture(12, 10, seed=i).astype("uint8")
            place = tmp_path / name / ("more" if i == 0 else "") / f"{i}.png"
            Image.fromarray(pixels).save(place)
        (tmp_path / name / "notes.txt").write_text("no image")
    return tmp_path


def test_folders_are_classes(folder):
    source = images.flow_from_directory(
        images.ImageGenerator(), str(folder), target_size=(6, 8), shuffle=False
    )
    assert source.class_indices == {"cat": 0, "dog": 1} and source.samples == 6
    assert source.classes.tolist() == [0, 0, 0, 0, 1, 1]
    assert source.filenames[-1] == "dog/more/0.png"
    x, y = source[0]
    assert x.shape == (6, 6, 8, 3) and y.shape == (6, 2)
    for path, image in zip(source.filepaths, x):
        theirs = keras.utils.img_to_array(keras.utils.load_img(path, target_size=(6, 8)))
        np.testing.assert_array_equal(image, theirs)


@pytest.mark.parametrize(
    ("mode", "shape"), [("binary", (6,)), ("sparse", (6,)), ("input", (6, 4, 4, 1)), (None, None)]
)
def test_class_modes(folder, mode, shape):
    source = images.flow_from_directory(
        images.ImageGenerator(), str(folder), (4, 4), "grayscale", class_mode=mode
    )
    batch = source[0]
    assert batch[0].shape == (6, 4, 4, 1)
    assert (len(batch) == 1) if shape is None else (batch[1].shape == shape)


def test_subsets_of_folders_are_taken_by_class(folder):
    generator = images.ImageGenerator(validation_split=0.5)
    counts = {
        name: images.flow_from_directory(generator, str(folder), subset=name).classes.tolist()
        for name in ("training", "validation")
    }
    assert counts == {"training": [0, 0, 1], "validation": [0, 0, 1]}


def test_tables_name_files_and_targets(folder):
    files = ["cat/1.png", "dog/1.png", "cat/2.png"]
    read = dict(directory=str(folder), target_size=(4, 4), shuffle=False)
    generator = images.ImageGenerator()
    source = images.flow_from_table(generator, files, ["b", "a", "b"], **read)
    assert source.class_indices == {"a": 0, "b": 1}
    assert source[0][1].tolist() == [[0, 1], [1, 0], [0, 1]]
    some = images.flow_from_table(generator, files, ["b", "a", "c"], classes=["b", "a"], **read)
    assert some.classes.tolist() == [0, 1]
    raw = images.flow_from_table(generator, files, [[1, 2, 3]], class_mode="raw", **read)
    assert raw[0][1].tolist() == [1, 2, 3]
    two = images.flow_from_table(
        generator, files, [[1, 2, 3], [4, 5, 6]], class_mode="multi_output", **read
    )
    assert [part.tolist() for part in two[0][1]] == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(FileError, match="row 2.*none.png"):
        images.flow_from_table(generator, ["cat/1.png", "none.png"], ["a", "b"], **read)


def test_bad_folders_and_files_are_named(folder, tmp_path):
    generator = images.ImageGenerator()
    with pytest.raises(FileError, match="no folder"):
        images.flow_from_directory(generator, str(folder / "none"))
    with pytest.raises(ArgumentError, match="'bird'"):
        images.flow_from_directory(generator, str(folder), classes=["cat", "bird"])
    (folder / "dog" / "9.png").write_bytes(b"not a picture")
    source = images.flow_from_directory(generator, str(folder), shuffle=False)
    with pytest.raises(FileError, match="9.png' can't be read"):
        source[0]
    with pytest.raises(ArgumentError, match="class_mode"):
        images.flow_from_directory(generator, str(folder), class_mode="one")


def test_changed_images_are_written(folder, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    x = np.stack([picture(seed=i) for i in range(2)])
    images.flow(images.ImageGenerator(), x, save_to_dir=str(target), save_prefix="p")[0]
    assert sorted(p.name for p in target.iterdir()) == ["p_0_0.png", "p_1_0.png"]
    assert Image.open(target / "p_0_0.png").size == (7, 5)


def test_a_model_trains_on_a_folder(folder):
    from kerasbridge.data.indexed import DirectBatches, IndexedBatches

    source = images.flow_from_directory(
        images.ImageGenerator(rescale=1 / 255), str(folder), (6, 6), batch_size=4, seed=1
    )
    model = keras.Sequential(
        [keras.Input((6, 6, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    )
    model.compile("adam", "categorical_crossentropy")
    history = model.fit(IndexedBatches(source), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    direct = DirectBatches(source)
    sizes = [len(direct()[0]) for _ in range(4)]
    assert sizes == [4, 2, 4, 2] and direct.samples == 6


@pytest.mark.parametrize("mode", ["nearest", "reflect", "wrap"])
@pytest.mark.parametrize("around", [((2, 3), (4, 5)), ((0, 7), (5, 0)), ((9, 3), (1, 13))])
def test_what_lies_beyond_the_border(mode, around):
    pixels = picture(5, 7).astype("uint8")
    (top, left), (bottom, right) = around
    names = {"nearest": "edge", "reflect": "symmetric", "wrap": "wrap"}
    known = np.pad(pixels, ((top, bottom), (left, right), (0, 0)), mode=names[mode])
    found = augment.extended(Image.fromarray(pixels), *around, mode)
    np.testing.assert_array_equal(np.asarray(found), known)


@pytest.mark.parametrize("mode", ["nearest", "constant"])
def test_bytes_and_floats_are_changed_alike(mode):
    pixels = picture(40, 60).astype("uint8")
    pixels = np.asarray(Image.fromarray(pixels).resize((60, 40), Image.Resampling.BOX))
    a = augment.Augmentation(fill_mode=mode, cval=9)
    moved = change(theta=20, tx=3, ty=-2, shear=5, zx=0.9, zy=1.1, flip_horizontal=True)
    whole = a.apply_to(Image.fromarray(pixels), (40, 60), moved, 0)
    np.testing.assert_allclose(whole, a.apply(pixels, moved), atol=1)
    smooth = Image.fromarray(np.add.outer(np.arange(80), np.arange(120)).astype("uint8"))
    # straight to a smaller size: as resizing first, but for the border
    small = a.apply_to(smooth, (40, 60), change(theta=20), 2)
    slow = a.apply(np.asarray(smooth.resize((60, 40), 2))[..., None], change(theta=20))
    np.testing.assert_allclose(small[12:28, 15:45], slow[12:28, 15:45], atol=2.5)


def test_images_are_the_same_whatever_the_number_of_threads(folder, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    from kerasbridge.data import image_batches

    generator = images.ImageGenerator(rotation_range=30, zoom_range=0.2, brightness_range=[0.5, 1])
    found = []
    for threads in (1, 5):
        pool = ThreadPoolExecutor(threads)
        monkeypatch.setattr(image_batches, "_threads", lambda pool=pool: pool)
        source = images.flow_from_directory(generator, str(folder), (6, 8), seed=3)
        found.append(np.concatenate([batch[0] for batch in source]))
        pool.shutdown()
    np.testing.assert_array_equal(*found)


def test_a_batch_that_is_kept_stays_as_it_is(folder):
    source = images.flow_from_directory(
        images.ImageGenerator(), str(folder), (6, 8), batch_size=2, shuffle=False
    )
    kept = [batch[0][:] for batch in source]
    again = [batch[0].copy() for batch in source]
    for one, other in zip(kept, again):
        np.testing.assert_array_equal(one, other)
    assert len({one.ctypes.data for one in kept}) == len(kept)


def test_jpegs_are_decoded_as_pillow_opens_them(tmp_path, monkeypatch):
    from kerasbridge.data.decode import decode, jpeg_size

    pixels = np.random.default_rng(0).integers(0, 256, (97, 161, 3), dtype=np.uint8)
    path = tmp_path / "a.jpg"
    for saving in ({}, {"progressive": True}, {"comment": b"x" * 300, "dpi": (72, 72)}):
        Image.fromarray(pixels).save(path, quality=90, **saving)
        assert jpeg_size(path.read_bytes()) == (97, 161)
        for size in (None, (97, 161), (48, 80), (20, 20), (3, 3)):
            known = Image.open(path)
            if size is not None:
                known.draft("RGB", size[::-1])
            np.testing.assert_array_equal(np.asarray(decode(path, "rgb", size)), np.asarray(known))
    whole, known = path.read_bytes(), np.asarray(Image.open(path))
    monkeypatch.setattr("kerasbridge.data.decode._WHOLE", 100)  # as if it were large
    np.testing.assert_array_equal(np.asarray(decode(path, "rgb")), known)
    monkeypatch.undo()
    Image.fromarray(pixels[..., 0]).save(path)
    assert jpeg_size(path.read_bytes()) is None
    known = np.asarray(Image.open(path))
    np.testing.assert_array_equal(np.asarray(decode(path, "rgb"))[..., 1], known)
    Image.fromarray(np.concatenate([pixels, pixels[..., :1]], 2), "CMYK").save(path)
    assert decode(path, "rgb").size == (161, 97) and jpeg_size(path.read_bytes()) is None
    for damaged in (b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x00" + bytes(20), bytes(40)):
        assert jpeg_size(damaged) is None
    for end in (4, 30, 200, len(whole) // 2, len(whole) - 40):
        path.write_bytes(whole[:end])
        with pytest.raises(FileError, match="can't be read as an image"):
            decode(path, "rgb")


def test_large_jpegs_are_made_smaller_while_they_are_decoded(tmp_path):
    ramp = np.add.outer(np.arange(375) // 4, np.arange(500) // 4).astype("uint8")
    path = tmp_path / "ramp.jpg"
    Image.fromarray(np.stack([ramp] * 3, axis=-1)).save(path, quality=95)
    from kerasbridge.data.decode import decode, read_image

    assert decode(path, "rgb", (150, 150)).size == (250, 188)
    assert decode(path, "grayscale", None).size == (500, 375)
    known = keras.utils.load_img(path, target_size=(150, 150), interpolation="bilinear")
    ours = read_image(path, (150, 150), "rgb", "bilinear")
    np.testing.assert_allclose(ours, keras.utils.img_to_array(known), atol=6)
    deep = tmp_path / "deep.png"
    Image.fromarray(np.arange(0, 60_000, 1000, dtype="uint16").reshape(6, 10)).save(deep)
    assert read_image(deep, None, "grayscale").max() == 59_000


def test_paths_twice_are_dropped(folder):
    files = ["cat/1.png", "dog/1.png", "cat/1.png"]
    read = dict(directory=str(folder), target_size=(4, 4))
    once = images.flow_from_table(
        images.ImageGenerator(), files, ["a", "b", "a"], drop_duplicates=True, **read
    )
    assert once.samples == 2


@pytest.mark.parametrize("fill_mode", ["nearest", "constant", "wrap"])
@pytest.mark.parametrize("large", [False, True])
def test_mirrors_are_part_of_the_one_step(fill_mode, large):
    rng = np.random.default_rng(3)
    size = (96, 120) if large else (40, 50)  # with and without averaging
    image = Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).resize(size[::-1])
    matrix = augment.affine_matrix((40, 50), theta=20, tx=3.3, ty=-4.1, shear=7, zx=0.9, zy=1.1)
    plain = np.asarray(augment.through(image, (40, 50), matrix, fill_mode)).astype(int)
    for flips in ((True, False), (False, True), (True, True)):
        seen = np.asarray(augment.through(image, (40, 50), matrix, fill_mode, flips=flips))
        wanted = plain[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1]
        assert np.mean(np.abs(seen - wanted) > 1) < 0.01
