"""An agent learns which arm pays, with the diagrams of reinforcement learning."""

import random
import time

from torch.utils.tensorboard import SummaryWriter

random.seed(3)
run_name = f"Bandit-v0__ppo__1__{int(time.time())}"
writer = SummaryWriter(f"runs/{run_name}")
writer.add_text(
    "hyperparameters",
    "|param|value|\n|-|-|\n{}".format("|learning_rate|0.1|\n|total_timesteps|640|"),
)

values = [0.0, 0.0, 0.0]
returns = []
global_step = 0
start_time = time.time()
for _update in range(1, 11):
    rewards = []
    for _ in range(64):
        global_step += 1
        arm = random.randrange(3) if random.random() < 0.1 else values.index(max(values))
        reward = random.gauss((0.1, 0.5, 0.9)[arm], 0.1)
        values[arm] += 0.1 * (reward - values[arm])
        rewards.append(reward)
    episodic_return = sum(rewards)
    returns.append((global_step, episodic_return))
    writer.add_scalar("charts/episodic_return", episodic_return, global_step)
    writer.add_scalar("charts/learning_rate", 0.1, global_step)
    writer.add_scalar("losses/value_loss", (0.9 - max(values)) ** 2, global_step)
    writer.add_scalars("values", {str(arm): value for arm, value in enumerate(values)}, global_step)
    writer.add_scalar(
        "charts/SPS", int(global_step / (time.time() - start_time + 1e-9)), global_step
    )
writer.close()
