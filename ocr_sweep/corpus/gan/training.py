"""The training of the generator against its critic, one step at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ocr_sweep.corpus.gan.network import Critic, Generator

Images = NDArray[np.uint8]

L1_WEIGHT = 100.0  # of the distance to the true glyph (pix2pix, zi2zi)
CONTENT_WEIGHT = 15.0  # of the distance between the contents of source glyph and drawing (zi2zi's constant loss)
STYLE_WEIGHT = 1.0  # of telling the styles apart (zi2zi's category loss)
CRITIC_FROM = 0.4  # share of the steps after which the critic joins: it wins at once over a beginner and teaches it blots
CRITIC_PACE = 0.2  # the critic's rate as a share of the generator's
_TRUE = 0.9  # what the critic is to say of true glyphs (one-sided label smoothing)
_BETAS = (0.5, 0.999)
_DRAW_BATCH = 64


@dataclass(frozen=True)
class Pairs:
    """P pairs of a source glyph and the same character in a style; ink, 0 paper to 255."""

    source: Images  # (P, S, S)
    target: Images  # (P, S, S)
    styles: NDArray[np.int64]  # (P,)


@dataclass(frozen=True)
class GanSettings:
    """How large the networks are and how long they learn."""

    size: int  # side in pixels of the glyphs, a multiple of 16
    base_channels: int  # of the first level
    steps: int
    batch_size: int
    lr: float  # Adam's first rate; it falls to 0 along half a cosine
    seed: int


def device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


class GanTraining:
    """Generator, critic and their optimisers; a `Stepped` training.

    The critic learns first in each step, then the generator: adversarial loss + 100 L1 + 15 content + style. In the first
    steps the generator learns without a critic.

    References:
        Isola et al., arXiv:1611.07004; weights of the losses and the content loss are zi2zi's.
    """

    def __init__(self, pairs: Pairs, num_styles: int, settings: GanSettings) -> None:
        self.pairs, self.settings, self.device = pairs, settings, device()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.generator = Generator(num_styles, size=settings.size, base_channels=settings.base_channels)
            self.critic = Critic(num_styles, base_channels=settings.base_channels)
            for network in (self.generator, self.critic):
                network.apply(_initialise)
        for network in (self.generator, self.critic):
            network.to(self.device)
        self.optimizers = {
            "generator": torch.optim.Adam(self.generator.parameters(), lr=settings.lr, betas=_BETAS),
            "critic": torch.optim.Adam(self.critic.parameters(), lr=CRITIC_PACE * settings.lr, betas=_BETAS),
        }

    def step(self, number: int) -> dict[str, float]:
        """Do one update of each network on the batch that (seed, number) draws."""
        source, target, styles = self._batch(number)
        self._set_rates(self.settings.lr * 0.5 * (1 + math.cos(math.pi * number / self.settings.steps)))
        drawings, content = self.generator(source, styles)
        critic_loss = torch.zeros((), device=self.device)
        joined = number >= CRITIC_FROM * self.settings.steps
        if joined:
            critic_loss = self._critic_loss(source, target, drawings.detach(), styles)
            self._update("critic", critic_loss)
        losses = self._content_losses(target, drawings, content)
        if joined:
            losses |= self._critic_says(source, drawings, styles)
        self._update("generator", sum(losses.values(), torch.zeros((), device=self.device)))
        told = {"adversarial": critic_loss, "style": critic_loss, **losses, "l1": losses["l1"] / L1_WEIGHT, "critic": critic_loss}
        return {name: float(value.detach()) for name, value in told.items()}

    def _set_rates(self, rate: float) -> None:
        self.optimizers["generator"].param_groups[0]["lr"] = rate
        self.optimizers["critic"].param_groups[0]["lr"] = CRITIC_PACE * rate

    def _critic_loss(self, source: Tensor, target: Tensor, drawings: Tensor, styles: Tensor) -> Tensor:
        true, true_style = self.critic(source, target)
        false, _ = self.critic(source, drawings)
        return 0.5 * (_adversarial(true, _TRUE) + _adversarial(false, 0.0)) + self._style_loss(true_style, styles)

    def _content_losses(self, target: Tensor, drawings: Tensor, content: Tensor) -> dict[str, Tensor]:
        again = self.generator.encode(drawings)[-1]
        return {
            "l1": L1_WEIGHT * nn.functional.l1_loss(drawings, target),
            "content": CONTENT_WEIGHT * nn.functional.mse_loss(again, content.detach()),
        }

    def _critic_says(self, source: Tensor, drawings: Tensor, styles: Tensor) -> dict[str, Tensor]:
        self.critic.requires_grad_(False)  # its own gradients are not wanted here, and cost a third of the step
        truth, style = self.critic(source, drawings)
        self.critic.requires_grad_(True)
        return {"adversarial": _adversarial(truth, 1.0), "style": self._style_loss(style, styles)}

    def _style_loss(self, logits: Tensor, styles: Tensor) -> Tensor:
        return STYLE_WEIGHT * nn.functional.cross_entropy(logits, styles)

    def _update(self, name: str, loss: Tensor) -> None:
        self.optimizers[name].zero_grad(set_to_none=True)
        loss.backward()
        self.optimizers[name].step()

    def _batch(self, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """Draw pairs, and move both glyphs of a pair by the same few pixels: never farther than the empty margin."""
        rng = np.random.default_rng((self.settings.seed, number))
        chosen = rng.integers(len(self.pairs.styles), size=self.settings.batch_size)
        reach = self.settings.size // 32
        shifts = rng.integers(-reach, reach + 1, size=(len(chosen), 2)).tolist()
        moved = [
            np.stack([np.roll(images[i], shift, axis=(0, 1)) for i, shift in zip(chosen.tolist(), shifts, strict=True)])
            for images in (self.pairs.source, self.pairs.target)
        ]
        styles = torch.from_numpy(self.pairs.styles[chosen]).to(self.device)
        return to_signed(moved[0], self.device), to_signed(moved[1], self.device), styles

    def state(self, *, finished: bool) -> dict[str, Any]:
        """Return everything that going on needs; when finished, the generator alone."""
        if finished:
            return {"generator": self.generator.state_dict()}
        optimizers = {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()}
        return {"generator": self.generator.state_dict(), "critic": self.critic.state_dict(), **optimizers_keyed(optimizers)}

    def load(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        self.generator.load_state_dict(state["generator"])
        if "critic" in state:
            self.critic.load_state_dict(state["critic"])
            for name, optimizer in self.optimizers.items():
                optimizer.load_state_dict(state[f"optimizer/{name}"])

    @torch.inference_mode()
    def draw(self, source: Images, style: int) -> Images:
        """Redraw (N, S, S) source glyphs in a style; each drawing depends on its own glyph alone."""
        self.generator.eval()
        parts = [np.zeros((0, *source.shape[1:]), np.uint8)]
        for first in range(0, len(source), _DRAW_BATCH):
            glyphs = to_signed(source[first : first + _DRAW_BATCH], self.device)
            drawings, _ = self.generator(glyphs, torch.full((len(glyphs),), style, device=self.device))
            parts.append(((drawings[:, 0] + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy())
        self.generator.train()
        return np.concatenate(parts)


def optimizers_keyed(states: dict[str, Any]) -> dict[str, Any]:
    """Name the states of optimisers apart from those of networks."""
    return {f"optimizer/{name}": state for name, state in states.items()}


def to_signed(images: Images, place: torch.device) -> Tensor:
    """(B, S, S) ink of 0 to 255 as (B, 1, S, S) in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(images)).to(place).unsqueeze(1).float().div_(127.5).sub_(1)


def _adversarial(logits: Tensor, wanted: float) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, wanted))


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
