"""Whether the parts of a bundle belong together, each of which is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import BundleError
from edge.manifest import BANK, MANIFEST, NOVELTY, Head
from edge.msk.contact_wrench import COMPONENTS
from edge.msk.model import Model
from edge.signals import differentiate

if TYPE_CHECKING:
    from edge.bundle import Bundle

SAME_AGE_MS = 0.5
"""Ages that differ by no more are taken for the same."""


def answer_width(head: Head, model: Model) -> int:
    """How many numbers a network with this head answers on the device."""
    if head == "activation":
        return len(model.muscles)
    if head == "contact":
        return len(COMPONENTS) + len(model.row_names)
    return len(model.row_names)


def check_fit(bundle: Bundle) -> None:
    """Raise BundleError naming the field that does not fit the rest; variants are looked at too."""
    _check_networks(bundle)
    settings = bundle.manifest.differentiator
    if settings.method not in differentiate.METHODS:
        raise BundleError(
            f"{bundle.where}: `differentiator.method` is '{settings.method}', this program knows "
            f"{', '.join(differentiate.METHODS)}: update the program or make the bundle anew"
        )
    alignment = bundle.alignment
    if alignment is not None and alignment.segment_names != bundle.segment_names:
        raise BundleError(
            f"{bundle.where}: `imu_alignment` in {MANIFEST} is of {', '.join(alignment.segment_names)}, the model has "
            f"{', '.join(bundle.segment_names)}: align the sensors anew"
        )
    bank = bundle.bank
    if bank is not None:
        layout = bank.layout
        found = layout.rate_hz, layout.age_s, layout.channels[: len(bundle.model.joints)]
        own = bundle.manifest.rate_hz, settings.age_s, bundle.model.joint_names
        if found != own:
            raise BundleError(
                f"{bundle.where}: {BANK} is for rate, age and joints {found}, the bundle's are {own}: make the bundle anew"
            )
    _check_novelty(bundle)
    _check_variants(bundle)


def _check_networks(bundle: Bundle) -> None:
    model, first = bundle.model, bundle.manifest.network
    for i, network in enumerate(bundle.manifest.networks):
        key = "network" if i == 0 else f"members.{i - 1}"
        outputs = answer_width(network.head, model)
        features = network.view.width(len(model.joints))
        for name, have, need in (("outputs", network.outputs, outputs), ("features", network.features, features)):
            if have != need:
                raise BundleError(
                    f"{bundle.where}: `{key}.{name}` is {have}, the model '{model.name}' needs {need}: make the bundle anew"
                )
        if network.look_ahead >= network.window:
            raise BundleError(
                f"{bundle.where}: `{key}.look_ahead` is {network.look_ahead}, beyond the window of {network.window}: "
                "make the bundle anew"
            )
        # All members are fed by one differentiator, so that this alone decides which moment they describe.
        if network.look_ahead != first.look_ahead:
            raise BundleError(
                f"{bundle.where}: `{key}.look_ahead` is {network.look_ahead}, that of `network` {first.look_ahead}: members must "
                "describe the same moment: make the bundle anew"
            )


def _check_novelty(bundle: Bundle) -> None:
    novelty, network = bundle.novelty, bundle.manifest.network
    if novelty is None:
        return
    about = novelty.about
    if (about.window, about.features) != (network.window, network.features):
        raise BundleError(
            f"{bundle.where}: {NOVELTY} is for windows of {about.window} x {about.features}, those of `network` are "
            f"{network.window} x {network.features}: make the bundle anew"
        )


def _check_variants(bundle: Bundle) -> None:
    manifest = bundle.manifest
    seen = [(manifest.inputs, bundle.age_s)]
    for variant in bundle.variants.values():
        own = variant.manifest
        if own.variants:
            raise BundleError(f"{variant.where}: has `variants` of its own: make the bundle anew")
        if (own.subject, own.model_sha256) != (manifest.subject, manifest.model_sha256):
            raise BundleError(
                f"{variant.where}: is of another subject or model (`subject`, `model_sha256`): make the bundle anew"
            )
        check_fit(variant)
        if any(inputs == own.inputs and abs(age_s - variant.age_s) <= 2e-3 * SAME_AGE_MS for inputs, age_s in seen):
            raise BundleError(
                f"{variant.where}: {own.inputs} inputs and an age of {variant.age_s * 1e3:g} ms are in the bundle already: leave "
                "one of them out"
            )
        seen.append((own.inputs, variant.age_s))
