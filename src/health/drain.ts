import { Injectable } from '@nestjs/common';

/** Whether this instance has been told to stop: it finishes what it has, and wants nothing new. */
@Injectable()
export class Drain {
  private begun = false;

  get isDraining(): boolean {
    return this.begun;
  }

  begin(): void {
    this.begun = true;
  }
}
