#!/usr/bin/env python3
"""Make the "Nuclei U-Net example" model package, from nothing.

    python3.11 -m venv venv && . venv/bin/activate
    pip install -r requirements.txt && python make.py

The script draws its own training images (synthetic fluorescence-like nuclei),
trains a small U-Net on one CPU core (about ten minutes), exports it to ONNX,
measures the result on held-out synthetic images and writes every other file of this
folder: rdf.yaml, nuclei-unet.onnx, test_input.npy, test_output.npy,
sample_input.png, sample_output.png, cover.png and documentation.md.

What is deterministic: all drawing and the initial weights come from fixed
seeds, training uses one thread and PyTorch's deterministic algorithms, and
nothing depends on the clock, the network or the folder. The same versions on
the same kind of CPU give the same bytes. Another kind of CPU rounds
differently while training, so the weights (and the hashes and measured numbers
that follow from them) will differ slightly; rdf.yaml and documentation.md are
always written from the run that made them.

Options: --steps N (shorter training, for trying things out), --out FOLDER.
"""

import argparse
import hashlib
import os
import time
import warnings
from pathlib import Path

# One thread everywhere; must be set before the numerical libraries load.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np
import onnx
import onnxruntime
import torch
import yaml
from PIL import Image
from scipy import ndimage
from torch import nn

# Seeds: one stream for each purpose, so that none depends on another's length.
SEED_WEIGHTS, SEED_TRAIN, SEED_TEST, SEED_SAMPLE, SEED_COVER = 20, 21, 23, 24, 25
SEED_HELD_OUT, SEED_EMPTY = 26, 27  # used only for the final measurement

# Release date of the package (a constant, not the time of the run).
TIMESTAMP = "2026-11-23T00:00:00+00:00"

STEPS, BATCH, PATCH, LEARNING_RATE = 1000, 8, 128, 3e-3
TOUCHING_WEIGHT = 6  # of outlines between touching nuclei, in the loss
WIDTHS = (16, 32, 64)  # channels per level; two poolings, so the stride is 4
STRIDE, MIN_SIZE, HALO = 4, 64, 24
P_LOW, P_HIGH, EPS = 1.0, 99.8, 1e-6
OPSET, IR_VERSION = 17, 8
HELD_OUT, HELD_OUT_EMPTY, HELD_OUT_SIZE = 160, 20, 256
MIN_OBJECT, GROW = 16, 3  # pixels


# --- synthetic images --------------------------------------------------------


def smooth_noise(rng, size, sigma):
    """Gaussian-filtered white noise with mean 0 and standard deviation 1."""
    noise = ndimage.gaussian_filter(rng.standard_normal((size, size)), sigma, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def draw(rng, size, **fixed):
    """Draw one image. Returns (image uint16, labels int32), both size x size.

    `fixed` replaces values that are otherwise drawn at random.
    """
    p = {
        "radius": rng.uniform(5.5, 13.0),  # mean nucleus radius, pixels
        "coverage": rng.uniform(0.05, 0.6),  # wanted fraction of nucleus area
        "clustering": rng.uniform(0.0, 0.7),  # chance to be placed beside another
        "photons": 10 ** rng.uniform(1.3, 2.9),  # photons of a typical nucleus
        "background": rng.uniform(0.02, 0.3),  # relative to a typical nucleus
        "gradient": rng.uniform(0.0, 0.8),
        "blur": rng.uniform(0.6, 1.8),
        "haze": rng.uniform(0.0, 0.25),
        "texture": rng.uniform(0.05, 0.3),
        "gain": 10 ** rng.uniform(-0.3, 1.6),
        "offset": rng.uniform(50, 500),
    }
    p.update(fixed)

    pad = 24
    full = size + 2 * pad
    radius = p["radius"]
    depth = np.full((full, full), -np.inf)  # distance to the outline, inside > 0
    labels = np.zeros((full, full), np.int32)
    signal = np.zeros((full, full))
    coarse = smooth_noise(rng, full, radius / 3)
    fine = smooth_noise(rng, full, 1.2)

    wanted = int(round(p["coverage"] * full * full / (np.pi * radius**2)))
    placed = []  # (y, x, radius)
    areas = [0]
    for _ in range(3 * wanted):
        if len(placed) == wanted:
            break
        r = radius * np.exp(rng.normal(0, 0.18))
        brightness = np.exp(rng.normal(0, 0.35))
        condensed = rng.random() < 0.04  # small, bright, like a dividing nucleus
        if condensed:
            r, brightness = 0.65 * r, 2.2 * brightness
        aspect = rng.uniform(1.0, 1.7)
        if placed and rng.random() < p["clustering"]:
            y0, x0, r0 = placed[rng.integers(len(placed))]
            direction = rng.uniform(0, 2 * np.pi)
            distance = (r + r0) * rng.uniform(0.9, 1.1)
            y, x = y0 + distance * np.sin(direction), x0 + distance * np.cos(direction)
        else:
            y, x = rng.uniform(0, full, 2)

        # Window around the nucleus, in its own rotated frame.
        half = int(np.ceil(r * np.sqrt(aspect) * 1.3)) + 3
        top, left = max(0, int(y) - half), max(0, int(x) - half)
        bottom, right = min(full, int(y) + half + 1), min(full, int(x) + half + 1)
        if bottom - top < 3 or right - left < 3:
            continue
        window = (slice(top, bottom), slice(left, right))
        yy, xx = np.mgrid[window].astype(float)
        yy, xx = yy - y, xx - x
        angle = rng.uniform(0, np.pi)
        u = (xx * np.cos(angle) + yy * np.sin(angle)) / (r * np.sqrt(aspect))
        v = (yy * np.cos(angle) - xx * np.sin(angle)) / (r / np.sqrt(aspect))
        rho, theta = np.hypot(u, v), np.arctan2(v, u)
        outline = np.ones_like(rho)  # an ellipse with a slightly wavy outline
        for k in range(2, 6):
            outline += rng.uniform(0, 0.16) / k * np.cos(k * theta + rng.uniform(0, 2 * np.pi))
        inside = (outline - rho) * r
        mask = inside > 0
        if not mask.any():
            continue

        # Touching is wanted, covering is not.
        hit = np.bincount(labels[window][mask], minlength=len(areas))
        hit[0] = 0
        if hit.sum() > 0.15 * mask.sum():
            continue
        if any(hit[i] > 0.15 * areas[i] for i in np.flatnonzero(hit)):
            continue

        number = len(areas)
        own = mask & (inside > depth[window])
        labels[window][own] = number
        depth[window] = np.maximum(depth[window], inside)
        areas.append(int(mask.sum()))
        placed.append((y, x, r))

        # Brightness: a dome with chromatin texture, bright spots and nucleoli.
        dome = np.clip(1 - (rho / outline) ** 2, 0.05, 1) ** rng.uniform(0.1, 0.45)
        content = 1 + p["texture"] * (coarse[window] + 0.4 * fine[window])
        for amount, count in ((-0.45, rng.integers(0, 3)), (0.5, rng.integers(0, 5))):
            for _ in range(count):
                su, sv = rng.uniform(-0.6, 0.6, 2)
                spot = ((u - su) ** 2 + (v - sv) ** 2) / (2 * rng.uniform(0.08, 0.18) ** 2)
                content += amount * np.exp(-spot)
        edge = np.clip(inside + 0.5, 0, 1)
        signal[window] += brightness * edge * dome * np.clip(content, 0.15, None)

    # Debris: small faint specks that are not nuclei.
    for _ in range(rng.poisson(2e-5 * full * full)):
        y, x = rng.integers(2, full - 2, 2)
        signal[y - 1 : y + 2, x - 1 : x + 2] += rng.uniform(0.1, 0.6)

    # Optics: point spread, out-of-focus haze, background, uneven illumination.
    signal = ndimage.gaussian_filter(signal, p["blur"])
    signal += p["haze"] * ndimage.gaussian_filter(signal, rng.uniform(8, 20))
    yy, xx = np.mgrid[-1 : 1 : full * 1j, -1 : 1 : full * 1j]
    angle = rng.uniform(0, 2 * np.pi)
    slope = 1 + p["gradient"] * (np.cos(angle) * xx + np.sin(angle) * yy) / 1.5
    slope += 0.12 * smooth_noise(rng, full, full / 8)
    signal += p["background"] * np.clip(slope, 0.1, None)
    signal *= 1 - rng.uniform(0, 0.35) * (xx**2 + yy**2) / 2

    # Camera: photon noise, gain, offset, read noise, 16 bits.
    counts = p["gain"] * rng.poisson(p["photons"] * signal) + p["offset"]
    counts += p["gain"] * rng.normal(0, rng.uniform(0.5, 3.0), counts.shape)
    image = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)

    crop = slice(pad, pad + size)
    return image[crop, crop], labels[crop, crop]


def targets(labels):
    """Returns (foreground, boundary, touching) as float32 masks.

    boundary: outlines two pixels wide, one inside and one outside the nucleus;
    touching: the part of them that lies between two nuclei.
    """
    boundary = np.zeros(labels.shape, bool)
    touching = np.zeros(labels.shape, bool)
    for a, b in (
        ((slice(1, None), slice(None)), (slice(None, -1), slice(None))),
        ((slice(None), slice(1, None)), (slice(None), slice(None, -1))),
    ):
        different = labels[a] != labels[b]
        both = different & (labels[a] > 0) & (labels[b] > 0)
        boundary[a] |= different
        boundary[b] |= different
        touching[a] |= both
        touching[b] |= both
    return (m.astype(np.float32) for m in (labels > 0, boundary, touching))


# --- network -----------------------------------------------------------------


def block(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class UNet(nn.Module):
    """U-Net with two poolings. Its outputs are logits (sigmoid is in rdf.yaml)."""

    def __init__(self):
        super().__init__()
        a, b, c = WIDTHS
        self.down1, self.down2, self.bottom = block(1, a), block(a, b), block(b, c)
        self.up2, self.up1 = block(c + b, b), block(b + a, a)
        self.head = nn.Conv2d(a, 2, 1)
        self.pool = nn.MaxPool2d(2)
        self.grow = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x):
        level1 = self.down1(x)
        level2 = self.down2(self.pool(level1))
        x = self.bottom(self.pool(level2))
        x = self.up2(torch.cat([self.grow(x), level2], 1))
        x = self.up1(torch.cat([self.grow(x), level1], 1))
        return self.head(x)


# --- pre- and postprocessing, as rdf.yaml states them --------------------------


def scale_range(raw):
    """BioImage.IO scale_range, per image: statistics of the raw input, no clipping."""
    low, high = np.percentile(raw, [P_LOW, P_HIGH], method="linear")
    return ((raw.astype(np.float64) - low) / (high - low + EPS)).astype(np.float32)


def sigmoid(x):
    return (1 / (1 + np.exp(-x))).astype(np.float32)


def predict(session, raw):
    """uint16 image y,x -> float32 probabilities channel,y,x."""
    logits = session.run(["output"], {"input": scale_range(raw)[None, None]})[0]
    return sigmoid(logits[0])


def instances(foreground, boundary, grow=GROW):
    """Separate nuclei: connected components of foreground minus boundary,
    then each grown back by at most `grow` pixels inside the foreground."""
    inside = foreground > 0.5
    seeds, count = ndimage.label(inside & (boundary < 0.5))
    sizes = np.bincount(seeds.ravel(), minlength=count + 1)
    seeds[sizes[seeds] < MIN_OBJECT] = 0
    if grow and seeds.any():
        distance, nearest = ndimage.distance_transform_edt(seeds == 0, return_indices=True)
        near = inside & (distance <= grow)
        seeds = np.where(near, seeds[tuple(nearest)], 0)
    return seeds


# --- training ----------------------------------------------------------------


def train(steps):
    torch.manual_seed(SEED_WEIGHTS)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    net = UNet().to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1
    )
    rng = np.random.default_rng(SEED_TRAIN)
    started = time.monotonic()
    for step in range(1, steps + 1):
        images, wanted, weights = [], [], []
        for _ in range(BATCH):
            empty = {"coverage": 0.0} if rng.random() < 0.02 else {}
            raw, labels = draw(rng, PATCH, **empty)
            foreground, boundary, touching = targets(labels)
            # A little more contrast and offset than scale_range leaves over.
            image = scale_range(raw) * rng.uniform(0.8, 1.2) + rng.uniform(-0.08, 0.08)
            images.append(image[None].astype(np.float32))
            wanted.append(np.stack([foreground, boundary]))
            weights.append(np.stack([np.ones_like(touching), 1 + (TOUCHING_WEIGHT - 1) * touching]))
        x, y, w = (torch.from_numpy(np.stack(v)) for v in (images, wanted, weights))
        logits = net(x.contiguous(memory_format=torch.channels_last))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, y, weight=w)
        probability = torch.sigmoid(logits)
        overlap = (probability * y).sum((0, 2, 3))
        total = (probability + y).sum((0, 2, 3))
        loss = loss + 0.5 * (1 - (2 * overlap + 1) / (total + 1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps:
            spent = time.monotonic() - started
            print(f"step {step}/{steps}  loss {loss.item():.4f}  {spent:.0f} s", flush=True)
    return net.eval().to(memory_format=torch.contiguous_format)


def export(net, path):
    names = {0: "batch", 2: "y", 3: "x"}
    # dynamo=False: the older exporter, which keeps the weights in the one file.
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    torch.onnx.export(
        net,
        (torch.zeros(1, 1, MIN_SIZE, MIN_SIZE),),
        str(path),
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": names, "output": names},
        opset_version=OPSET,
        dynamo=False,
    )
    model = onnx.load(path)
    model.ir_version = IR_VERSION
    model.graph.name = "nuclei-unet"
    model.producer_name, model.producer_version, model.doc_string = "make.py", "", ""
    del model.metadata_props[:], model.graph.value_info[:]
    shape = model.graph.output[0].type.tensor_type.shape
    for dimension, name in zip(shape.dim, ("batch", 2, "y", "x")):
        if isinstance(name, str):
            dimension.dim_param = name
        else:
            dimension.dim_value = name
    for node in model.graph.node:
        node.doc_string = ""
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    operators = sorted({node.op_type for node in model.graph.node})
    print("operators:", ", ".join(operators))
    assert not {"If", "Loop", "Scan"} & set(operators) and not model.functions
    return sum(p.numel() for p in net.parameters())


def open_session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


# --- measuring ---------------------------------------------------------------


def match(truth, found):
    """Objects of at least MIN_OBJECT pixels that agree at IoU > 0.5 (so one to one).
    Returns (matched, in truth, found, sum of matched IoU)."""
    pairs = np.zeros((truth.max() + 1, found.max() + 1), np.int64)
    np.add.at(pairs, (truth.ravel(), found.ravel()), 1)
    a, b = pairs.sum(1), pairs.sum(0)
    iou = pairs[1:, 1:] / np.maximum(a[1:, None] + b[None, 1:] - pairs[1:, 1:], 1)
    keep_a, keep_b = a[1:] >= MIN_OBJECT, b[1:] >= MIN_OBJECT
    good = iou[keep_a][:, keep_b]
    good = good[good > 0.5]
    return np.array([len(good), keep_a.sum(), keep_b.sum(), good.sum()], float)


def otsu(raw):
    """Baseline: Otsu's threshold after a light blur, connected components."""
    smooth = ndimage.gaussian_filter(raw.astype(np.float64), 1.0)
    histogram, edges = np.histogram(smooth, 256)
    middle = (edges[1:] + edges[:-1]) / 2
    w0 = np.cumsum(histogram)
    w1 = w0[-1] - w0
    m0 = np.cumsum(histogram * middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = w0 * w1 * (m0 / w0 - (m0[-1] - m0) / w1) ** 2
    return smooth > middle[np.nanargmax(between)]


def measure(session):
    """Held-out images, drawn like the training images but from another seed."""
    rng = np.random.default_rng(SEED_HELD_OUT)
    pixels = {"net": np.zeros(3), "otsu": np.zeros(3), "boundary": np.zeros(3)}
    objects = {k: np.zeros(4) for k in ("grown", "plain", "otsu", "dim", "bright")}
    for _ in range(HELD_OUT):
        photons = 10 ** rng.uniform(1.3, 2.9)
        raw, labels = draw(rng, HELD_OUT_SIZE, photons=photons)
        foreground, boundary = predict(session, raw)
        true_foreground, true_boundary, _ = targets(labels)
        threshold = otsu(raw)
        for key, guess, truth in (
            ("net", foreground > 0.5, true_foreground > 0),
            ("otsu", threshold, true_foreground > 0),
            ("boundary", boundary > 0.5, true_boundary > 0),
        ):
            pixels[key] += [(guess & truth).sum(), guess.sum(), truth.sum()]
        grown = match(labels, instances(foreground, boundary))
        objects["grown"] += grown
        objects["bright" if photons > 10**2.1 else "dim"] += grown
        objects["plain"] += match(labels, instances(foreground, boundary, grow=0))
        objects["otsu"] += match(labels, ndimage.label(threshold)[0])
    result = {}
    for key, (both, guess, truth) in pixels.items():
        result[f"{key}_iou"] = both / (guess + truth - both)
        result[f"{key}_f1"] = 2 * both / (guess + truth)
    for key, (hits, truth, found, iou) in objects.items():
        result[f"{key}_precision"] = hits / found
        result[f"{key}_recall"] = hits / truth
        result[f"{key}_object_f1"] = 2 * hits / (truth + found)
        result[f"{key}_matched_iou"] = iou / hits
        result[f"{key}_objects"] = int(truth)
    # Images without nuclei: whatever is found there is false.
    rng, false = np.random.default_rng(SEED_EMPTY), 0
    for _ in range(HELD_OUT_EMPTY):
        raw, _ = draw(rng, HELD_OUT_SIZE, coverage=0.0)
        false += len(np.unique(instances(*predict(session, raw)))) - 1
    result["false_per_empty"] = false / HELD_OUT_EMPTY
    return result


def tiling_error(session, raw, halo, tile=128):
    """Largest difference between the whole image and tiles cut by the halo
    (tiles lie within the image, so its border is left out)."""
    scaled = scale_range(raw)[None, None]
    whole = sigmoid(session.run(None, {"input": scaled})[0])
    worst, inner = 0.0, tile - 2 * halo
    for y in range(0, raw.shape[0] - tile + 1, inner):
        for x in range(0, raw.shape[1] - tile + 1, inner):
            part = sigmoid(session.run(None, {"input": scaled[..., y : y + tile, x : x + tile]})[0])
            cut = (..., slice(y + halo, y + tile - halo), slice(x + halo, x + tile - halo))
            difference = part[..., halo:-halo, halo:-halo] - whole[cut]
            worst = max(worst, float(np.abs(difference).max()))
    return worst


# --- pictures ----------------------------------------------------------------


def stretch(raw, gamma=0.7):
    low, high = np.percentile(raw, [0.5, 99.5])
    return np.clip((raw - low) / (high - low), 0, 1) ** gamma


def palette(count):
    """Distinct bright colours: hues by the golden ratio."""
    hue = (0.55 + np.arange(count) * 0.61803398875) % 1 * 6
    channel = np.stack([(hue + k) % 6 for k in (5, 3, 1)], 1)
    return 1 - 0.75 * np.clip(np.minimum(channel, 4 - channel), 0, 1)


def cover(raw, found):
    """Left the image, right the nuclei found, both twice enlarged; 2:1."""
    gray = stretch(raw)
    gray = ndimage.zoom(gray, 2, order=1, grid_mode=True, mode="nearest")
    found = np.kron(found, np.ones((2, 2), found.dtype))
    right = np.stack([gray] * 3, -1)
    colours = palette(found.max() + 1)[found]
    inside = (found > 0)[..., None]
    right = np.where(inside, 0.45 * right + 0.55 * colours * (0.35 + 0.65 * right), right * 0.8)
    outline = ndimage.grey_dilation(found, (3, 3)) != ndimage.grey_erosion(found, (3, 3))
    outline &= found > 0
    right = np.where(outline[..., None], 0.25 + 0.75 * colours, right)
    left = np.stack([gray] * 3, -1)
    both = np.concatenate([left, right], 1)
    both[:, gray.shape[1] - 1 : gray.shape[1] + 1] = 1
    return Image.fromarray(np.rint(np.clip(both, 0, 1) * 255).astype(np.uint8))


def save_probabilities(foreground, boundary, path):
    """Foreground in blue, boundary in orange."""
    blue, orange = np.array([0.13, 0.45, 0.85]), np.array([1.0, 0.62, 0.1])
    f, b = foreground[..., None], boundary[..., None]
    picture = f * (1 - b) * blue + b * orange
    Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)).save(path, optimize=True)


# --- texts -------------------------------------------------------------------

DOCUMENTATION = """\
# Nuclei U-Net example

A small 2D U-Net that finds nuclei in fluorescence-like images. It is the worked
example of Zoarium: a complete BioImage.IO model package that is small enough to
read, made entirely by one script (`make.py`) and free of any foreign data.

**Use it to learn, test and compare software. Do not use it for research.** It
has never seen a real microscope image.

## What goes in, what comes out

* Input `input`: one channel, axes batch, channel, y, x; 16-bit intensities.
  Height and width are {min_size} or more, in steps of {stride}. Pad other sizes
  (reflection is a good choice) and crop the result.
* Preprocessing: `scale_range` for each image: percentile {p_low:g} becomes 0,
  percentile {p_high:g} becomes 1, without clipping.
* Output `output`: two channels of probabilities in [0, 1]: `foreground` (the
  pixel belongs to a nucleus) and `boundary` (the pixel lies on the outline of a
  nucleus; outlines are two pixels wide). The network itself gives logits;
  `sigmoid` is the postprocessing.
* Nuclei should have a radius of about 5 to 14 pixels. Rescale other images.

To separate the nuclei: take the connected components (4 neighbours) of
`foreground > 0.5 and boundary < 0.5`, drop those below {min_object} pixels, and grow
each by at most {grow} pixels inside `foreground > 0.5`.

Tiles: the network sees {halo} pixels or less to each side, which is the halo that
the description states. Tiles whose origins are multiples of {stride}, cut by that
halo, agree with the whole image (see below) if the percentiles are those of the
whole image.

## How it was made

`make.py` draws every image: wavy ellipses of varied size, elongation and
brightness, partly in touching clusters, with chromatin-like texture, bright
spots and nucleoli; then blur, out-of-focus haze, a sloping background, uneven
illumination, specks of debris, photon noise and read noise.

* Network: U-Net, widths {widths}, two poolings, 3 x 3 convolutions with batch
  normalisation and ReLU, nearest-neighbour upsampling, {parameters:,} parameters.
* Training: {steps} steps of {batch} freshly drawn patches of {patch} x {patch} pixels; AdamW,
  one-cycle schedule up to {rate:g}; binary cross-entropy (outlines between touching
  nuclei weigh {touching} times) plus half a soft Dice loss.
* Weights: ONNX, opset {opset}, with dynamic batch, height and width. Batch
  normalisation is folded into the convolutions.

To rebuild: `pip install -r requirements.txt && python make.py` (Python 3.11, about
ten minutes on one CPU core). `make.py` says which parts are deterministic.

# Validation

Measured by `make.py` with ONNX Runtime on {held_out} held-out synthetic images of
{held_out_size} x {held_out_size} pixels, drawn in the same way from another seed, with {objects}
nuclei of {min_object} pixels or more. Objects match at an intersection over union (IoU)
above 0.5.

| | this model | Otsu threshold |
|---|--:|--:|
| foreground pixels, IoU | {net_iou:.3f} | {otsu_iou:.3f} |
| foreground pixels, F1 | {net_f1:.3f} | {otsu_f1:.3f} |
| boundary pixels, F1 | {boundary_f1:.3f} | |
| objects, F1 | {grown_object_f1:.3f} | {otsu_object_f1:.3f} |
| objects, precision | {grown_precision:.3f} | {otsu_precision:.3f} |
| objects, recall | {grown_recall:.3f} | {otsu_recall:.3f} |
| matched objects, mean IoU | {grown_matched_iou:.3f} | {otsu_matched_iou:.3f} |

* Without growing the components back: objects F1 {plain_object_f1:.3f}, mean IoU {plain_matched_iou:.3f}.
* Dim images (a typical nucleus gives 20 to 126 photons per pixel): objects F1
  {dim_object_f1:.3f}. Bright images (126 to 794): {bright_object_f1:.3f}.
* Tiles of 128 x 128 with halo {halo} against the whole sample image, away from
  the image border: largest difference in probability {tiling:.1g} (with a halo of
  16: {tiling_16:.1g}).
* Images without nuclei ({held_out_empty} of them): {false_per_empty:.1f} false objects per image.
* The baseline is Otsu's threshold after a Gaussian blur (sigma 1 pixel), with
  connected components.

These numbers say how well the network learned the drawings. They say nothing
about real samples.

## Limits

* Synthetic data only. Real nuclei differ in texture, shape, staining, optics and
  artefacts; expect errors, and validate on your own annotated images.
* One 2D plane, bright nuclei on a darker background; no 3D, no brightfield, no
  histology.
* Heavily overlapping nuclei have no right answer in two output channels.
* `scale_range` stretches an image without nuclei like any other, so noise and debris
  there can be taken for nuclei (see the false objects above).

## Files

`rdf.yaml`, `nuclei-unet.onnx`, `test_input.npy` and `test_output.npy` (256 x 256, for
reproduction), `sample_input.png` (16 bits, 512 x 512), `sample_output.png`
(foreground blue, boundary orange), `cover.png`, this text; and the maker:
`make.py`, `requirements.txt`.

Licence: Apache-2.0.
"""


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def describe(out, parameters):
    def file(name):
        return {"source": name, "sha256": sha256(out / name)}

    size = {"min": MIN_SIZE, "step": STRIDE}
    rdf = {
        "format_version": "0.5.4",
        "type": "model",
        "name": "Nuclei U-Net example",
        "description": (
            "A small 2D U-Net that predicts foreground and boundary probabilities of nuclei in "
            "fluorescence-like images. Worked example of Zoarium, trained on synthetic images only: "
            "for learning and testing software, not for research."
        ),
        "version": "1.0.0",
        "timestamp": TIMESTAMP,
        "license": "Apache-2.0",
        "authors": [{"name": "Zoarium contributors"}],
        "cite": [{"text": "Zoarium contributors. Nuclei U-Net example.", "url": "https://zoarium.example/"}],
        "tags": [
            "2d", "unet", "nuclei", "fluorescence-light-microscopy", "segmentation",
            "instance-segmentation", "synthetic", "example", "onnx",
        ],
        "covers": ["cover.png"],
        "documentation": "documentation.md",
        "inputs": [
            {
                "id": "input",
                "description": "Fluorescence-like image with bright nuclei on a darker background",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["nuclei"]},
                    {"type": "space", "id": "y", "size": dict(size)},
                    {"type": "space", "id": "x", "size": dict(size)},
                ],
                "test_tensor": file("test_input.npy"),
                "sample_tensor": file("sample_input.png"),
                "data": {"type": "uint16", "range": [0, 65535]},
                "preprocessing": [
                    {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                    {
                        "id": "scale_range",
                        "kwargs": {
                            "axes": ["channel", "y", "x"],
                            "min_percentile": P_LOW,
                            "max_percentile": P_HIGH,
                            "eps": EPS,
                        },
                    },
                    {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                ],
            }
        ],
        "outputs": [
            {
                "id": "output",
                "description": "Probabilities that a pixel belongs to a nucleus, and to the outline of one",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["foreground", "boundary"]},
                ]
                + [
                    {
                        "type": "space",
                        "id": axis,
                        "size": {"tensor_id": "input", "axis_id": axis},
                        "halo": HALO,
                    }
                    for axis in ("y", "x")
                ],
                "test_tensor": file("test_output.npy"),
                "sample_tensor": file("sample_output.png"),
                "data": {"type": "float32", "range": [0.0, 1.0]},
                "postprocessing": [
                    {"id": "sigmoid"},
                    {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                ],
            }
        ],
        "weights": {"onnx": {**file("nuclei-unet.onnx"), "opset_version": OPSET}},
        "config": {
            "bioimageio": {
                "architecture_type": "U-Net",
                "modality": "fluorescence microscopy (synthetic)",
                "target_structure": ["nuclei"],
                "task": "segmentation",
                "model_parameter_count": parameters,
            }
        },
    }
    text = yaml.safe_dump(rdf, sort_keys=False, allow_unicode=True, width=100)
    (out / "rdf.yaml").write_text(text, encoding="utf-8", newline="\n")


def main():
    parser = argparse.ArgumentParser(description="Make the nuclei U-Net example package.")
    parser.add_argument("--steps", type=int, default=STEPS, help="at least 20")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent)
    arguments = parser.parse_args()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)

    net = train(arguments.steps)
    parameters = export(net, out / "nuclei-unet.onnx")
    session = open_session(out / "nuclei-unet.onnx")

    # Reproduction: a 256 x 256 image, batch and channel axes added.
    clear = {"photons": 400.0, "radius": 9.0, "coverage": 0.35, "clustering": 0.5}
    clear.update(background=0.1, haze=0.1)
    raw, _ = draw(np.random.default_rng(SEED_TEST), 256, **clear, gain=8.0)
    np.save(out / "test_input.npy", raw[None, None])
    np.save(out / "test_output.npy", predict(session, raw)[None])
    with torch.no_grad():
        expected = sigmoid(net(torch.from_numpy(scale_range(raw)[None, None])).numpy())
    print(f"ONNX Runtime against PyTorch: {np.abs(predict(session, raw) - expected[0]).max():.1e}")

    # Sample: larger, so that it takes more than one tile; fills the 16 bits.
    raw, _ = draw(np.random.default_rng(SEED_SAMPLE), 512, **clear, gain=65.0)
    Image.fromarray(raw).save(out / "sample_input.png", optimize=True)
    foreground, boundary = predict(session, raw)
    save_probabilities(foreground, boundary, out / "sample_output.png")
    tiling, tiling_16 = (tiling_error(session, raw, halo) for halo in (HALO, 16))

    clear.update(radius=13.0, coverage=0.45, gradient=0.3, texture=0.2)
    raw, _ = draw(np.random.default_rng(SEED_COVER), 240, **clear, blur=0.9)
    cover(raw, instances(*predict(session, raw))).save(out / "cover.png", optimize=True)

    measured = measure(session)
    for name, value in measured.items():
        print(f"{name}: {value:.4f}")
    print(f"tiling: {tiling:.2e} with halo {HALO}, {tiling_16:.2e} with halo 16")
    text = DOCUMENTATION.format(
        min_size=MIN_SIZE, stride=STRIDE, p_low=P_LOW, p_high=P_HIGH, halo=HALO, grow=GROW,
        min_object=MIN_OBJECT, widths=", ".join(map(str, WIDTHS)), parameters=parameters,
        steps=arguments.steps, touching=TOUCHING_WEIGHT, batch=BATCH, patch=PATCH,
        rate=LEARNING_RATE, opset=OPSET, held_out=HELD_OUT, held_out_empty=HELD_OUT_EMPTY,
        held_out_size=HELD_OUT_SIZE, objects=measured["grown_objects"],
        tiling=tiling, tiling_16=tiling_16, **measured,
    )
    (out / "documentation.md").write_text(text, encoding="utf-8", newline="\n")
    describe(out, parameters)


if __name__ == "__main__":
    main()
