"""Published averages of level walking, and the smooth curves through them.

Sources. Numbers are facts; each is used as its source prints it, except where this page says otherwise.

* Pelvic tilt, hip, knee and ankle angle, vertical ground reaction: means of healthy adults walking at their own
  speed, as the simulation program SCONE prints them in its file `resources/gaitanalysis/default.zml` (`norm_mean`,
  0.1 degree and 0.01 body weight). The file does not name its source; it is understood to be Bovi et al. 2011, "A
  multiple-task gait analysis approach: kinematic, kinetic and EMG reference data for healthy young and adult
  subjects", Gait & Posture 33:6-13 (so Schumacher et al. 2023, arXiv:2309.02976, who compare with it). Its ankle is
  zero 20 degrees away from a foot at right angles to the shank; SCONE adds 20, and so do we. Angles are taken here at
  every second percent of the cycle.
* Stride length against speed: 1.44 m at 1.45 m/s, the mean of 14 adults of 1.73 m (University of Maryland, Department
  of Kinesiology, sph.umd.edu/department/knes/data), growing with speed to the power 0.42 (Grieve 1968, quoted by Kuo
  2001, J Biomech Eng 123:264-269).
* The centre of pressure moves as if a wheel of radius 0.3 leg lengths, fixed to the shank, rolled on the ground
  (Hansen, Childress & Knox 2004, Clin Biomech 19:407-414; Adamczyk, Collins & Kuo 2006, J Exp Biol 209:3953-3963), at
  0.316 m/s on average over the stance (Chiu, Wu & Chang 2013, Gait & Posture 37:43-48), which says how far under the
  toes it ends.
* The ground reaction points to a place above the centre of mass while one foot stands, and close to the centre of
  mass while two do (Vielemeyer et al. 2021, J Biomech 120:110387; 2023, PLoS ONE 18:e0292874). With the vertical
  force and the centre of pressure this gives the fore-aft force (Wagner, Schmitz & Bostroem 2024, Front Bioeng
  Biotechnol 12:1286644).
* Width of the walking base: 8.1 cm (Murray, Drought & Kory 1964, J Bone Joint Surg Am 46:335-360).
* Hip and knee excursions grow with speed, the ankle's does not (Pietraszewski, Winiarski & Jaroszczuk 2012, Acta
  Bioeng Biomech 14(3), doi 10.5277/abb120302).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

STRIDE_LENGTH_M = 1.44  # at STRIDE_SPEED_MPS
STRIDE_SPEED_MPS = 1.45
STRIDE_EXPONENT = 0.42
ROLLING_RADIUS_PER_LEG = 0.3  # of the leg length from hip to ground
PRESSURE_SPEED_MPS = 0.316
WALKING_BASE_M = 0.081

ANKLE_ZERO_DEG = 20.0
ANGLE_HARMONICS = 7  # at one stride a second, about what the usual 6 Hz low-pass of recorded angles leaves
TILT_HARMONICS = 4
_FORCE_SMOOTHING = 0.03  # of the cycle: half width of the window that rounds the corners of the printed force curve

# fmt: off
# From heel contact (0 %) to the next of the same foot (100 %), in steps of 2 %.
_PELVIC_TILT_DEG = (
    -9.3, -9.5, -9.7, -9.6, -9.3, -9.1, -9.0, -9.0, -9.2, -9.3, -9.4, -9.4, -9.4, -9.3, -9.2, -9.1, -9.1,
    -9.0, -9.0, -8.9, -8.9, -8.8, -8.9, -9.0, -9.1, -9.2, -9.3, -9.4, -9.3, -9.1, -8.8, -8.7, -8.8, -8.9,
    -9.0, -9.1, -9.0, -9.0, -8.9, -8.8, -8.8, -8.7, -8.7, -8.6, -8.6, -8.5, -8.4, -8.4, -8.5, -8.7, -8.8,
)
_HIP_FLEXION_DEG = (
    33.0, 32.9, 32.5, 32.0, 31.2, 29.9, 28.1, 26.1, 24.0, 21.9, 19.7, 17.4, 14.9, 12.4, 9.9, 7.5, 5.2,
    3.0, 0.9, -1.1, -2.9, -4.5, -5.8, -6.8, -7.6, -8.2, -8.3, -7.8, -6.7, -4.9, -2.3, 1.1, 5.0, 9.0,
    12.9, 16.7, 20.2, 23.4, 26.3, 28.9, 30.9, 32.5, 33.4, 33.7, 33.5, 32.8, 32.0, 31.5, 31.4, 31.7, 32.0,
)
_KNEE_FLEXION_DEG = (
    7.9, 10.3, 11.9, 14.7, 17.4, 19.0, 19.4, 19.0, 18.1, 17.2, 16.2, 15.1, 14.0, 12.8, 11.5, 10.2, 9.1,
    8.1, 7.5, 7.2, 7.3, 7.7, 8.6, 10.0, 11.9, 14.1, 17.0, 20.6, 25.2, 30.8, 37.2, 44.0, 50.4, 55.7,
    59.8, 62.4, 63.4, 63.0, 61.3, 58.4, 54.2, 48.9, 42.4, 35.0, 26.8, 18.7, 11.6, 6.5, 4.0, 4.4, 7.0,
)
_ANKLE_DORSIFLEXION_DEG = (
    -22.3, -23.9, -26.2, -26.1, -24.6, -22.5, -20.5, -19.0, -17.7, -16.6, -15.6, -14.6, -13.6,
    -12.8, -12.1, -11.4, -10.8, -10.0, -9.3, -8.5, -8.0, -7.6, -7.6, -7.9, -8.9, -10.6,
    -13.4, -17.6, -23.4, -29.8, -35.3, -38.9, -39.9, -38.0, -34.6, -30.7, -27.3, -24.3, -21.8,
    -20.0, -18.6, -17.6, -17.3, -17.6, -18.7, -20.0, -21.1, -21.9, -22.5, -22.7, -22.3,
)
# From heel contact, in steps of 1 % of the cycle; zero for the rest.
_VERTICAL_FORCE_BW = (
    0.00, 0.40, 0.52, 0.56, 0.58, 0.61, 0.67, 0.73, 0.80, 0.88, 0.94, 0.99, 1.03, 1.05, 1.05, 1.05, 1.04,
    1.03, 1.01, 0.98, 0.95, 0.93, 0.90, 0.87, 0.85, 0.83, 0.82, 0.81, 0.80, 0.80, 0.80, 0.80, 0.81, 0.82,
    0.83, 0.85, 0.87, 0.89, 0.91, 0.94, 0.97, 1.00, 1.03, 1.06, 1.08, 1.11, 1.13, 1.14, 1.14, 1.14, 1.12,
    1.09, 1.05, 0.99, 0.91, 0.80, 0.68, 0.54, 0.41, 0.30, 0.19, 0.12, 0.07, 0.03, 0.01, 0.00,
)
# fmt: on


@dataclass(frozen=True)
class PeriodicCurve:
    """A Fourier series over one gait cycle; `coefficients[k]` belongs to harmonic k, the first is the mean."""

    coefficients: npt.NDArray[np.complex128]

    @classmethod
    def fit(cls, samples: FloatArray, harmonics: int) -> PeriodicCurve:
        """Through evenly spaced samples of one cycle (n,), the end point left out; the higher harmonics are dropped."""
        spectrum = np.fft.rfft(samples)[: harmonics + 1] / len(samples)
        spectrum[1:] *= 2.0
        return cls(spectrum)

    def __call__(self, cycle: FloatArray) -> FloatArray:
        """Values at positions in the cycle, in cycles (any shape; 1.25 is the same as 0.25)."""
        turns = 2j * np.pi * np.arange(len(self.coefficients))
        value: FloatArray = (np.exp(np.multiply.outer(cycle, turns)) @ self.coefficients).real
        return value

    @property
    def mean(self) -> float:
        return float(self.coefficients[0].real)

    def integrated_twice(self, cycles_per_second: float) -> PeriodicCurve:
        """The curve of zero mean whose second derivative in time is this one without its mean."""
        rate = 2j * np.pi * np.arange(len(self.coefficients)) * cycles_per_second
        integral = np.zeros_like(self.coefficients)
        integral[1:] = self.coefficients[1:] / rate[1:] ** 2
        return PeriodicCurve(integral)


@dataclass(frozen=True)
class NormativeGait:
    """Angles in degrees with the printed signs (knee flexion positive), of one leg from its heel contact on."""

    pelvic_tilt: PeriodicCurve  # backward positive
    hip_flexion: PeriodicCurve
    knee_flexion: PeriodicCurve
    ankle_dorsiflexion: PeriodicCurve
    vertical_force: FloatArray  # (n,) of one foot over the cycle, evenly spaced, mean 1/2 body weight, 0 in the air

    def force_at(self, cycle: FloatArray) -> FloatArray:
        """Vertical force of one foot in body weights at positions in its cycle."""
        n = len(self.vertical_force)
        grid = np.arange(n + 1) / n
        closed = np.append(self.vertical_force, self.vertical_force[0])
        return np.asarray(np.interp(np.mod(cycle, 1.0), grid, closed), dtype=np.float64)


def normative_gait() -> NormativeGait:
    """The published averages as smooth periodic curves.

    The printed curves do not end quite where they begin (up to 1 degree, as averages of strides do): the gap is spread
    over the cycle. The tilt is made the same for both legs. The vertical force is smoothed a little and scaled, so that
    both feet together carry exactly the body's weight over a cycle (the printed mean is 1.04).
    """
    tilt = _closed(_PELVIC_TILT_DEG)
    return NormativeGait(
        pelvic_tilt=PeriodicCurve.fit((tilt + np.roll(tilt, len(tilt) // 2)) / 2.0, TILT_HARMONICS),
        hip_flexion=PeriodicCurve.fit(_closed(_HIP_FLEXION_DEG), ANGLE_HARMONICS),
        knee_flexion=PeriodicCurve.fit(_closed(_KNEE_FLEXION_DEG), ANGLE_HARMONICS),
        ankle_dorsiflexion=PeriodicCurve.fit(_closed(_ANKLE_DORSIFLEXION_DEG) + ANKLE_ZERO_DEG, ANGLE_HARMONICS),
        vertical_force=_vertical_force(1000),
    )


def stride_length_m(speed_mps: FloatArray) -> FloatArray:
    """Stride length of an adult at a walking speed; shapes are kept."""
    length: FloatArray = STRIDE_LENGTH_M * (speed_mps / STRIDE_SPEED_MPS) ** STRIDE_EXPONENT
    return length


def speed_of_stride_mps(length_m: float) -> float:
    """The speed at which an adult takes strides of this length."""
    return float(STRIDE_SPEED_MPS * (length_m / STRIDE_LENGTH_M) ** (1.0 / STRIDE_EXPONENT))


def _closed(printed: tuple[float, ...]) -> FloatArray:
    values = np.array(printed)
    gap = (values[-1] - values[0]) * np.linspace(0.0, 1.0, len(values))
    return np.asarray((values - gap)[:-1])


def _vertical_force(n: int) -> FloatArray:
    cycle = np.arange(n) / n
    printed = np.interp(cycle * 100.0, np.arange(len(_VERTICAL_FORCE_BW)), _VERTICAL_FORCE_BW, right=0.0)
    half = round(_FORCE_SMOOTHING * n)
    window = 1.0 + np.cos(np.pi * np.arange(-half, half + 1) / (half + 1))
    smooth = np.convolve(
        np.concatenate([printed[-half:], printed, printed[:half]]), window / window.sum(), mode="valid"
    )
    return np.asarray(smooth * (0.5 / smooth.mean()))
