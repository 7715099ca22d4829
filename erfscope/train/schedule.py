"""The learning rate at an iteration: a closed form, so that nothing of it has to be saved."""

from erfscope.train.recipes.recipe import ScheduleRecipe


def learning_rate(schedule: ScheduleRecipe, base: float, iteration: int) -> float:
    """Return the learning rate of an iteration, counted from 0.

    Parameters
    ----------
    schedule
        Of T iterations, power p, m = `min_lr`: "poly" is (base − m) (1 − t/T)^p + m. In the first
        `warmup` = W iterations that is multiplied by 1 − (1 − t/W) (1 − `warmup_ratio`). Both are
        mmsegmentation's.
    base
        The parameters' own learning rate.
    """
    rate = base
    if schedule.policy == "poly":
        floor = min(schedule.min_lr, base)
        rate = (base - floor) * (1 - iteration / schedule.iterations) ** schedule.power + floor
    elif schedule.policy == "step":
        rate = base * schedule.step_factor ** sum(iteration >= step for step in schedule.steps)
    if iteration < schedule.warmup:
        rate *= 1 - (1 - iteration / schedule.warmup) * (1 - schedule.warmup_ratio)
    return rate
