"""ResNet-18 without its last layer: an image to a vector of features (He et al. 2016; ace_hetem figure 8).

Its batch normalisation is what lets it learn poses quickly: in a trial with a known map, 400 steps of 64 images of 32
pixels brought the median error to 24°; with normalisation over all channels of an image, at the same rate, it stood at
137°. In training, what it says about a particle therefore depends on its batch mates; in evaluation it does not.
"""

from torch import Tensor, nn
from torch.nn import functional

from .common_norm import BatchNorm


class ResNet18(nn.Module):
    """Convolutional trunk.

    Parameters
    ----------
    channels : of the images.
    width : channels of the first stage; each of the four stages has twice as many as the one before.
        64 is the standard.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.stem = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
        self.norm = BatchNorm(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        stages, inputs = [], width
        for stage in range(4):
            outputs = width * 2**stage
            stages += [BasicBlock(inputs, outputs, 1 if stage == 0 else 2), BasicBlock(outputs, outputs, 1)]
            inputs = outputs
        self.stages = nn.Sequential(*stages)
        self.width = width

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, D, D) → (B, `features(D)`)."""
        first = self.pool(self.norm(self.stem(images)).relu())
        return self.stages(first).flatten(1)

    def features(self, box: int) -> int:
        """Length of the feature vector of images of `box` pixels: 8 · width channels at a 32nd of the box."""
        return 8 * self.width * (-(-box // 32)) ** 2


class Convolution(nn.Conv2d):
    """A convolution that takes no strides on images of one pixel, where they change nothing.

    In bfloat16 the gradient of one that does holds, for the weights that meet the padding alone, what happened to be in
    memory (torch 2.13 on CPUs), so that equal trainings had different weights.
    """

    def forward(self, x: Tensor) -> Tensor:
        stride = 1 if x.shape[-1] == 1 else self.stride
        return functional.conv2d(x, self.weight, self.bias, stride, self.padding)


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions beside a direct path."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            Convolution(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            BatchNorm(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            BatchNorm(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.direct = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return (self.convolutions(x) + self.direct(x)).relu()
