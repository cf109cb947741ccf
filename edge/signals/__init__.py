"""From samples to joint angles, rates and accelerations: clocks, resampling, differentiation."""
