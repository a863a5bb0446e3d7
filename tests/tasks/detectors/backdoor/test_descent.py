import torch

from tasks.detectors.backdoor.descent import Descent


def test_the_descent_is_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    free = torch.randn(5, generator=generator).requires_grad_()
    mine = Descent.begin(free.detach().clone())
    reference = torch.optim.Adam([free], lr=0.3, betas=(0.5, 0.9))
    for _ in range(10):
        free.grad = torch.randn(5, generator=generator)
        mine = mine.step(free.grad, 0.3)
        reference.step()
    torch.testing.assert_close(mine.values, free.detach())


def test_a_variable_goes_on_as_before_when_others_leave() -> None:
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(6, 3, 2, generator=generator)
    whole = Descent.begin(torch.randn(3, 2, generator=generator))
    for gradient in gradients[:3]:
        whole = whole.step(gradient, 0.1)
    rows = torch.tensor([2, 0])
    part = whole.pick(rows)
    for gradient in gradients[3:]:
        whole, part = whole.step(gradient, 0.1), part.step(gradient[rows], 0.1)
    torch.testing.assert_close(part.values, whole.values[rows])
