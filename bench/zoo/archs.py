"""Network shapes of the zoo. Every one takes float32 [batch, 1, 28, 28] and returns [batch, K]."""
import torch
from torch import nn


def cbr(i, o, stride=1, k=3, groups=1):
    """Convolution, batch norm, ReLU; the exporter folds the norm into the convolution."""
    return nn.Sequential(
        nn.Conv2d(i, o, k, stride, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o), nn.ReLU()
    )


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.f = nn.Sequential(cbr(c, c), nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x):
        return torch.relu(x + self.f(x))


def linear(k, pool=1):
    """One affine layer on the image, averaged over pool x pool squares first."""
    head = [nn.AvgPool2d(pool)] if pool > 1 else []
    return nn.Sequential(*head, nn.Flatten(1), nn.Linear((28 // pool) ** 2, k))


def mlp(k, hidden, pool=1, drop=0.0):
    head = [nn.AvgPool2d(pool)] if pool > 1 else []
    return nn.Sequential(
        *head, nn.Flatten(1), nn.Linear((28 // pool) ** 2, hidden), nn.ReLU(), nn.Dropout(drop),
        nn.Linear(hidden, k)
    )


def stride_cnn(k, a, b, drop=0.2):
    """Two strided convolutions and a dense layer: the cheapest shape that sees edges."""
    return nn.Sequential(
        cbr(1, a, 2, 5), cbr(a, b, 2), nn.Flatten(1), nn.Dropout(drop), nn.Linear(49 * b, k)
    )


def plain_cnn(k, a, b, c, drop=0.2):
    """Four 3x3 convolutions, two of them strided, and an average over what is left."""
    return nn.Sequential(
        cbr(1, a, 2), cbr(a, b), cbr(b, c, 2), cbr(c, c),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Dropout(drop), nn.Linear(c, k)
    )


def depthwise(k, a, b, c, drop=0.1):
    """Depthwise-separable convolutions: few parameters, few multiplications."""
    def sep(i, o, stride=1):
        return nn.Sequential(cbr(i, i, stride, 3, i), cbr(i, o, 1, 1))
    return nn.Sequential(
        cbr(1, a, 2), sep(a, b), sep(b, c, 2), sep(c, c),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Dropout(drop), nn.Linear(c, k)
    )


def resnet(k, a, b, c, n=1, m=1, drop=0.2):
    """A small residual network: n blocks at 14x14, m blocks at 7x7."""
    return nn.Sequential(
        cbr(1, a), cbr(a, b, 2), *[Residual(b) for _ in range(n)],
        cbr(b, c, 2), *[Residual(c) for _ in range(m)],
        nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Dropout(drop), nn.Linear(c, k)
    )


SHAPES = {f.__name__: f for f in (linear, mlp, stride_cnn, plain_cnn, depthwise, resnet)}
